"""Rendering in several processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import cv2

from edge_hoi.child_process import spawn_context

Progress = Callable[[int, int], None]
"""Called with how many are done, and of how many."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def render_each(
    render: Callable[[_Item], _Result], items: Sequence[_Item], *, workers: int, progress: Progress, chunk: int = 1
) -> Iterator[_Result]:
    """Call `render` for each item in worker processes of one core each, `chunk` items at a time; yields the results in order."""
    # A forked process would inherit other libraries' threads half alive.
    with ProcessPoolExecutor(workers, spawn_context(), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for done, result in enumerate(pool.map(render, items, chunksize=chunk), 1):
            yield result
            progress(done, len(items))
