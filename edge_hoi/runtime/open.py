"""Open the engine in a folder."""

import importlib
from collections.abc import Callable
from pathlib import Path

from edge_hoi.errors import EngineError, nearest_name
from edge_hoi.runtime.engine import Device, Engine, PrecisionHint, check_device
from edge_hoi.runtime.manifest import Manifest, read_manifest
from edge_hoi.runtime.tensorrt_library import MODULES

# Imported on first use: no backend needs the packages of another.
_BACKENDS: dict[str, tuple[str, str] | Callable[..., Engine]] = {
    "openvino": ("openvino_engine", "OpenVinoEngine"),
    "onnxruntime": ("onnxruntime_engine", "OnnxRuntimeEngine"),
    "tensorrt": ("tensorrt_engine", "TensorRtEngine"),
    "tensorrt-rtx": ("tensorrt_engine", "TensorRtRtxEngine"),
    "torch-tensorrt": ("torch_tensorrt_engine", "open_torch_tensorrt"),
}
ONNX_BACKENDS = tuple(name for name in _BACKENDS if name != "torch-tensorrt")
"""Backends that run an engine's ONNX file."""
PLAN_BACKENDS = tuple(MODULES)
"""Backends that compile the network for one kind of GPU and one input size."""
_FOLDER_MAY_CHOOSE = ("openvino", "onnxruntime", "torch")
"""Backends that run an engine's network as data. Others may run code of its folder, so only the user chooses them."""


def register_backend(name: str, make: Callable[..., Engine]) -> None:
    """Add a backend, to be chosen by name like the others.

    Args:
        name: What `backend` calls it.
        make: The engine's class, or another callable: `make(folder, manifest, *, input_size, max_batch, device, precision_hint,
            cache_folder)`; see `InOrderEngine` for what it returns.

    Raises:
        EngineError: There is a backend of this name.
    """
    if name in _BACKENDS:
        raise EngineError(f"backend {name!r} exists already; choose another name")
    _BACKENDS[name] = make


def choose_backend(folder: Path, manifest: Manifest, named: str | None) -> str:
    """Return the backend that the user named, or the engine's own if it runs the engine's files as data.

    Raises:
        EngineError: The user named none, and the engine's own may run code of its folder.
    """
    own = manifest.backend
    if named is None and own not in _FOLDER_MAY_CHOOSE:
        others = {"torch-tensorrt": "; `--backend torch` runs its weights, as data"} | dict.fromkeys(
            ONNX_BACKENDS, "; `--backend openvino` runs its network on the CPU, as data"
        )
        raise EngineError(
            f"{folder} asks for backend {own!r}, which may run code of the folder; if you trust who made it, name the backend: "
            f"`--backend {own}`, in a configuration `engine: {{backend: {own}}}`{others.get(own, '')}"
        )
    return named or own


def open_engine(
    folder: Path,
    *,
    manifest: Manifest | None = None,
    backend: str | None = None,
    input_size: tuple[int, int] | None = None,
    max_batch: int = 1,
    max_requests: int = 1,
    device: Device = "auto",
    precision_hint: PrecisionHint | None = None,
    cache_folder: Path | None = None,
) -> Engine:
    """Open an engine for one input size; a torch engine needs its module, see `TorchEngine`.

    Args:
        folder: The engine's folder.
        manifest: Its manifest as it was read; None to read it.
        backend: `openvino`, `onnxruntime`, `tensorrt`, `tensorrt-rtx` or `torch-tensorrt`; None for the manifest's, which must be one of
            the first two. Name others only if you trust the folder: they may run code of it.
        input_size: `(H, W)` in pixels, see `choose_input_size`; None for the nominal size.
        max_batch: Largest batch.
        max_requests: Runs at the same time, by OpenVINO; other backends compute one after the other.
        device: `cpu`; `cuda`, an NVIDIA GPU; for OpenVINO `gpu` or `npu`, Intel's; for ONNX Runtime the execution provider `tensorrt` or
            `openvino`. `auto` is CUDA with ONNX Runtime where there is one, a discrete Intel GPU with OpenVINO, and otherwise the CPU.
        precision_hint: `f32`, or `bf16` where backend and device support it; None for the precision it was built for.
        cache_folder: For compiled models, so that opening again is faster; None to keep none.

    Returns:
        The engine, to be closed by the caller.

    Raises:
        EngineError: The backend is unknown, must be named or has no such device, the device is missing, or the model is refused or cannot
            be opened.
        ManifestError: The model is missing or differs from the manifest.
        MissingDependencyError: The backend is not installed.
    """
    manifest = manifest or read_manifest(folder, verify=False)  # each file is verified when it is loaded
    name = backend or manifest.backend
    if name not in _BACKENDS:
        fix = "open a torch engine with TorchEngine" if name == "torch" else nearest_name(name, _BACKENDS, "use one of those", cutoff=0.5)
        raise EngineError(f"open_engine expects backend {' or '.join(map(repr, _BACKENDS))}, got {name!r}; {fix}")
    choose_backend(folder, manifest, backend)
    make = _BACKENDS[name]
    if isinstance(make, tuple):
        check_device(name, device)
        module, name_of_maker = make
        make = getattr(importlib.import_module(f"edge_hoi.runtime.{module}"), name_of_maker)
    engine: Engine = make(
        folder,
        manifest,
        input_size=input_size,
        max_batch=max_batch,
        device=device,
        precision_hint=precision_hint,
        cache_folder=cache_folder,
        **({"max_requests": max_requests} if name == "openvino" else {}),
    )
    return engine
