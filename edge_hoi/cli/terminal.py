"""The two consoles: what a command was asked for goes to standard output, everything else to standard error."""

import logging
import sys

from rich.console import Console
from rich.logging import RichHandler

FILE_WIDTH = 160
"""Columns where output goes to a file or a pipe: there is no window that a table would have to fit."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else FILE_WIDTH)


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


def show_logs() -> None:
    """Let warnings of the program's parts reach standard error: above the live line on a terminal, as whole lines elsewhere."""
    handler: logging.Handler
    if err.is_terminal:
        handler = RichHandler(console=err, show_path=False)
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
