"""Read an engine's network, which may be a stranger's: the bytes that were hashed, checked, within a limit of memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import openvino

from edge_hoi.errors import EngineError
from edge_hoi.memory_limit import memory_limit
from edge_hoi.runtime.manifest import Manifest
from edge_hoi.runtime.onnx_scan import MAX_BYTES, check_onnx
from edge_hoi.runtime.openvino_core import read_onnx
from edge_hoi.runtime.plan import MODEL_FILE
from edge_hoi.runtime.tensor_memory import check_memory, check_reshapes
from edge_hoi.runtime.verified_file import verified_file

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


def read_network(copy: Path, name: Path, sizes: Mapping[str, Sequence[int]], max_batch: int = 1) -> openvino.Model:
    """Read a network for batches from 1 to `max_batch`, and check each of them: see `check_memory` and `check_reshapes`.

    Args:
        copy: From `network_file`.
        name: Its file, for messages.
        sizes: Of its inputs, without the batch.
        max_batch: Largest batch.

    Raises:
        EngineError: OpenVINO cannot read it, it needs too much memory, or its shapes contradict each other.
    """
    at = " and ".join(f"{input_name} of {'x'.join(map(str, size))}" for input_name, size in sizes.items())
    try:
        # OpenVINO evaluates constants when it reads: a few bytes can ask for any amount.
        with memory_limit(_AND + _TIMES_THE_FILE * copy.stat().st_size):
            model = read_onnx(copy)
            for batch in range(1, max_batch + 1):
                model.reshape({input_name: [batch, *size] for input_name, size in sizes.items()})
                check_reshapes(model, name)
    except (RuntimeError, MemoryError, UnicodeDecodeError) as error:
        raise EngineError(f"OpenVINO cannot open {name} for {at}: {reason_of(error)}; build it again with `edge-hoi build`") from error
    check_memory(model, name, f"batches of {max_batch}, {at}")
    if max_batch > 1:
        model.reshape({input_name: openvino.PartialShape([openvino.Dimension(1, max_batch), *size]) for input_name, size in sizes.items()})
    return model


def reason_of(error: BaseException) -> str:
    """Return one line of a library's error."""
    return (str(error).strip().splitlines() or ["not enough memory" if isinstance(error, MemoryError) else "no reason given"])[-1]
