"""Start Python in child processes that import nothing from the current folder, where a stranger's `json.py` may lie."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.compat import isolate_spawned_processes

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext

_SITE = str(Path(__file__).resolve().parent.parent)


def python_command(code: str, *arguments: str) -> list[str]:
    """Return a command that runs code in this Python, with this package importable.

    Args:
        code: One or more statements.
        arguments: `sys.argv[1:]` of the code; every user of the machine can read them.
    """
    # Python 3.10 has no option `-P`, and its `-I` hides packages installed for the user. The package comes last: its folder may be the
    # current one.
    return [sys.executable, "-c", f"import sys; sys.path[:] = [*filter(None, sys.path), {_SITE!r}]\n{code}", *arguments]


def spawn_context() -> "SpawnContext":
    """Return multiprocessing's context for new processes that are not forked."""
    import multiprocessing

    os.environ["PYTHONSAFEPATH"] = "1"  # its own helper processes read it too
    isolate_spawned_processes()
    return multiprocessing.get_context("spawn")
