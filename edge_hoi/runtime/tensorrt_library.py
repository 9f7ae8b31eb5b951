"""Import TensorRT, TensorRT-RTX (the same API) or torch-tensorrt by the backend's name."""

import importlib
from collections.abc import Callable
from typing import Any

from edge_hoi.errors import MissingDependencyError, install_command

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx", "torch-tensorrt": "torch_tensorrt"}
"""Module of each backend."""

_CONDITIONS = {
    "tensorrt": ", or on a Jetson install JetPack's own: `sudo apt-get install python3-libnvinfer`",
    "torch-tensorrt": ", on a machine with an NVIDIA GPU and its driver: it does not load elsewhere",
}


def load_library(backend: str) -> Any:  # noqa: ANN401 -- a module without type hints
    """Import the module of a backend, a key of `MODULES`.

    Raises:
        MissingDependencyError: It is not installed, or does not load.
    """
    try:
        return importlib.import_module(MODULES[backend])
    except (ImportError, OSError, RuntimeError, AssertionError) as error:  # the wheels load libraries and query the GPU on import
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        needed = f"the package {MODULES[backend]} ({reason})"
        raise MissingDependencyError(
            f"backend {backend!r} needs {needed}: run {install_command(backend)}{_CONDITIONS.get(backend, '')}"
        ) from error


def make_logger(library: Any, on_message: Callable[[str, str], None]) -> Any:  # noqa: ANN401
    """Create a logger for a library of `load_library`.

    Args:
        library: The module.
        on_message: Called from any thread with a message's severity, such as `ERROR`, and its text.
    """

    class Logger(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)  # pybind11 requires this call instead of super()

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401
            on_message(severity.name, message)

    return Logger()
