"""Open the engine that is in a folder."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from edge_hoi.errors import EngineError
from edge_hoi.runtime.engine import Device, Engine, PrecisionHint
from edge_hoi.runtime.manifest import read_manifest
from edge_hoi.runtime.tensorrt_library import MODULES


def _openvino() -> Callable[..., Engine]:
    from edge_hoi.runtime.openvino_engine import OpenVinoEngine

    return OpenVinoEngine


def _onnxruntime() -> Callable[..., Engine]:
    from edge_hoi.runtime.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine


def _tensorrt() -> Callable[..., Engine]:
    from edge_hoi.runtime.tensorrt_engine import TensorRtEngine

    return TensorRtEngine


def _tensorrt_rtx() -> Callable[..., Engine]:
    from edge_hoi.runtime.tensorrt_engine import TensorRtRtxEngine

    return TensorRtRtxEngine


def _torch_tensorrt() -> Callable[..., Engine]:
    from edge_hoi.runtime.torch_tensorrt_engine import TorchTensorRtEngine

    return TorchTensorRtEngine


# Imported when asked for, so that no backend costs anything while another is used.
_BACKENDS: dict[str, Callable[[], Callable[..., Engine]]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
    "torch-tensorrt": _torch_tensorrt,
}
ONNX_BACKENDS = tuple(name for name in _BACKENDS if name != "torch-tensorrt")
"""Names of the backends that run an engine's ONNX file."""
PLAN_BACKENDS = tuple(MODULES)
"""Names of those that compile the network first, for one kind of GPU and one input size."""


def open_engine(
    folder: Path,
    *,
    backend: str | None = None,
    input_size: tuple[int, int] | None = None,
    max_batch: int = 1,
    device: Device = "auto",
    precision_hint: PrecisionHint | None = None,
    cache_folder: Path | None = None,
) -> Engine:
    """Open an engine for one input size; a torch engine needs its module, see `TorchEngine`.

    Args:
        folder: The engine's folder.
        backend: `openvino`, `onnxruntime`, `tensorrt`, `tensorrt-rtx` or `torch-tensorrt`; None for the one that the manifest names.
        input_size: `(H, W)` in pixels, such as `choose_input_size` gives; None for the nominal one.
        max_batch: Most pictures in one run.
        device: `cpu`, `cuda`, or `auto` for the best there is.
        precision_hint: `f32`, or `bf16` where the backend and the device can; None for what it was built for.
        cache_folder: Where a backend may keep what it compiled; None to keep nothing.

    Returns:
        The engine, to be closed by the caller.

    Raises:
        EngineError: The backend is not known, the device is not there, or the model cannot be opened.
        ManifestError: The folder does not hold what its manifest says.
        MissingDependencyError: The backend is not installed.
    """
    manifest = read_manifest(folder)
    name = backend or manifest.backend
    if name not in _BACKENDS:
        nearest = get_close_matches(name, _BACKENDS, n=1, cutoff=0.5)
        mend = (
            "open a torch engine with TorchEngine"
            if name == "torch"
            else f"did you mean {nearest[0]!r}?"
            if nearest
            else "use one of those"
        )
        raise EngineError(f"open_engine expects backend {' or '.join(map(repr, _BACKENDS))}, got {name!r}; {mend}")
    return _BACKENDS[name]()(
        folder,
        manifest,
        input_size=input_size,
        max_batch=max_batch,
        device=device,
        precision_hint=precision_hint,
        cache_folder=cache_folder,
    )
