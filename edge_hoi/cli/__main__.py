"""`python -m edge_hoi.cli`: the same as `edge-hoi`, where a launcher such as torchrun wants a module."""

from edge_hoi.cli import main

if __name__ == "__main__":
    main()
