"""Read an engine's network, which may be a stranger's: the bytes that were hashed, checked, within a limit of memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import openvino

from edge_hoi.errors import EngineError
from edge_hoi.memory_limit import memory_limit
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.onnx_scan import MAX_BYTES, check_onnx
from edge_hoi.runtime.openvino_core import openvino_core
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.runtime.tensor_memory import check_memory
from edge_hoi.runtime.verified_file import verified_file

if TYPE_CHECKING:
    from edge_hoi.runtime.engine import TensorSpec

# A network needs some three times its file. The rest is for what other threads allocate meanwhile, such as decoders of video.
_TIMES_THE_FILE = 8
_AND = 2 << 30


@contextmanager
def network_file(folder: Path, manifest: Manifest, name: str = MODEL_FILE) -> Iterator[Path]:
    """Yield the path of a checked copy in memory of one of an engine's ONNX files.

    Raises:
        EngineError: It is no ONNX file, or has a part that is refused; see `check_onnx`.
        ManifestError: It is missing or differs from the manifest.
    """
    with verified_file(folder, manifest, name, max_bytes=MAX_BYTES) as copy:
        check_onnx(copy, folder / name)
        yield copy


def read_network(copy: Path, name: Path, shapes: Mapping[str, openvino.PartialShape | list[int]], size: object) -> openvino.Model:
    """Read a network and set the shapes of its inputs, and check what its tensors need; see `check_memory`.

    Args:
        copy: From `network_file`.
        name: Its file, for messages.
        shapes: Of its inputs.
        size: The same, for messages.

    Raises:
        EngineError: OpenVINO cannot read it, or it needs too much memory.
    """
    try:
        # OpenVINO evaluates constants when it reads: a few bytes can ask for any amount.
        with memory_limit(_AND + _TIMES_THE_FILE * copy.stat().st_size):
            model = openvino_core().read_model(copy)
            model.reshape(dict(shapes))
    except (RuntimeError, MemoryError) as error:
        raise EngineError(f"OpenVINO cannot open {name} at {size}: {reason_of(error)}; build it again with `edge-hoi build`") from error
    check_memory(model, name, size)
    return model


def input_shapes(specs: "Mapping[str, TensorSpec]", max_batch: int) -> dict[str, openvino.PartialShape]:
    """Return the shapes of an engine's inputs for batches from 1 to `max_batch`."""
    batch = openvino.Dimension(1, max_batch)
    return {name: openvino.PartialShape([batch, *spec.shape[1:]]) for name, spec in specs.items()}


def reason_of(error: BaseException) -> str:
    """Return one line of a library's error."""
    return (str(error).strip().splitlines() or ["not enough memory" if isinstance(error, MemoryError) else "no reason given"])[-1]
