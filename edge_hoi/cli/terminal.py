"""The two consoles: what a command was asked for goes to standard output, everything else to standard error."""

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_error(message: str) -> None:
    """Print an error, a line each.

    Args:
        message: What was expected, what came, and how to mend it.
    """
    for line in message.splitlines():
        err.print("[bold red]error:[/] ", end="")
        err.print(line, markup=False, soft_wrap=True)


def print_note(message: str) -> None:
    """Print something a person should know that is not an error.

    Args:
        message: One line.
    """
    err.print("[bold yellow]note:[/] ", end="")
    err.print(message, markup=False, soft_wrap=True)
