"""Skip tests that need a GPU; EDGE_HOI_REQUIRE_GPU=1 turns skips into failures."""

import os
from contextlib import contextmanager

import pytest

from edge_hoi.errors import EdgeHoiError


def need_cuda(backend: str = "tensorrt") -> None:
    """Skip the test without a CUDA device; `backend` is for the message."""
    from edge_hoi.runtime.gpu import Gpu

    with _skipping():
        Gpu(backend).close()


def need_gpu(backend: str) -> None:
    """Skip the test without a GPU backend's package and a GPU."""
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
            pytest.fail(f"EDGE_HOI_REQUIRE_GPU is set: {error}")
        pytest.skip(f"needs a GPU: {error}")
