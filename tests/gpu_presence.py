"""Skips of tests that need a GPU, which EDGE_HOI_REQUIRE_GPU=1 turns into failures."""

import os
from contextlib import contextmanager

import pytest

from edge_hoi.errors import EdgeHoiError


def need_cuda(backend: str = "tensorrt") -> None:
    """Go on only where a CUDA device is there.

    Args:
        backend: Who needs it, for the message.
    """
    from edge_hoi.runtime.gpu import Gpu

    with _skipping():
        Gpu(backend).close()


def need_gpu(backend: str) -> None:
    """Go on only where a backend's package and a GPU are there.

    Args:
        backend: One of those that run on GPUs only.
    """
    from edge_hoi.runtime.tensorrt_library import load_library

    with _skipping():
        load_library(backend)
    need_cuda(backend)


@contextmanager
def _skipping():
    try:
        yield
    except EdgeHoiError as error:
        if os.environ.get("EDGE_HOI_REQUIRE_GPU") == "1":
            pytest.fail(f"EDGE_HOI_REQUIRE_GPU is set, and {error}")
        pytest.skip(f"needs a GPU: {error}")
