"""The OpenVINO core of this process, and how it reads ONNX."""

from functools import cache
from pathlib import Path

import openvino
from openvino.frontend import (
    FrontEndManager,
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)

_FAILURES = (GeneralFailure, InitializationFailure, NotImplementedFailure, OpConversionFailure, OpValidationFailure)


@cache
def openvino_core() -> openvino.Core:
    """Return the process's only core, which lives until the process ends.

    With its first model a core installs a signal stack in the calling thread; when destroyed, it restores the previous one and unmaps its
    own. If two cores are destroyed in order of creation, the second restores the first one's stack, which is unmapped, and the next signal
    that Python handles in that thread (Ctrl-C; the end of a child process) is a segmentation fault. Seen with OpenVINO 2026.4.1 on Linux.
    """
    return openvino.Core()


def read_onnx(file: Path) -> openvino.Model:
    """Read an ONNX file, and as nothing else.

    `Core.read_model` chooses a format by content: it reads a valid ONNX file whose first field is a text with `<net version="11">` as a
    network of OpenVINO's own format, which no check of ONNX has seen. Seen with OpenVINO 2026.4.1.

    Raises:
        MemoryError: It asks for too much memory.
        RuntimeError: It cannot be read.
    """
    frontend = _frontends().load_by_framework("onnx")
    try:
        return frontend.convert(frontend.load(file))
    except _FAILURES as error:  # they have no common base
        raise RuntimeError(str(error)) from error


@cache
def _frontends() -> FrontEndManager:
    return FrontEndManager()  # kept: it holds the libraries whose code a network may refer to
