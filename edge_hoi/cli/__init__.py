"""The command line. `main` is the console script `edge-hoi`."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        arguments: What follows the program's name; that of this process where None.

    Raises:
        SystemExit: Always; docs/exit-codes.md lists the codes.
    """
    from edge_hoi.cli import signals

    signals.hold()
    try:
        from edge_hoi.cli import app

        app.main(arguments)
    finally:
        signals.release()
