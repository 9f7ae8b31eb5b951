"""The command line. `main` is the console script `edge-hoi`."""

from edge_hoi.cli.app import main

__all__ = ["main"]
