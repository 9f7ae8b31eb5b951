"""Run a stream: the same as `edge-hoi run`."""

import sys

from edge_hoi.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
