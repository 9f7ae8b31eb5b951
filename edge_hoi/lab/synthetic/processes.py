"""Rendering in several processes."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import cv2


def rendering_processes(count: int) -> ProcessPoolExecutor:
    """Make processes that render, each on one core.

    Args:
        count: How many.
    """
    # A forked process would take over other libraries' threads half alive.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,))
