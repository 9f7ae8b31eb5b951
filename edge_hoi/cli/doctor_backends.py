"""Which backends would run an engine here, and what each other one lacks."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_hoi.cli.finding import Finding
from edge_hoi.telemetry import installed_version, nvidia_gpus

TOPIC = "backends"
_JETSON = Path("/etc/nv_tegra_release")
_DRIVER = "install NVIDIA's driver, until `nvidia-smi` lists the GPU; in a container, start it with the GPU (`docker run --gpus all`)"


@dataclass(frozen=True, slots=True)
class Backend:
    """Something that runs engines.

    Attributes:
        name: As `--backend` has it.
        module: What it is imported as.
        package: The distribution that brings the module.
        install: How to get it.
        look: Imports it and tells what it finds: a name and a detail, of each device or once.
        is_needed: Whether `edge-hoi run` without further options needs it.
        needs_gpu: Whether it runs on NVIDIA GPUs only.
    """

    name: str
    module: str
    package: str
    install: str
    look: Callable[[], Iterator[tuple[str, str]]]
    is_needed: bool = False
    needs_gpu: bool = False


def find_backends() -> Iterator[Finding]:
    """Look at every backend; one that fails is a finding like others."""
    has_gpu = bool(nvidia_gpus()) or _JETSON.exists()
    for backend in BACKENDS:
        yield from _examine(backend, has_gpu=has_gpu)


def _examine(backend: Backend, *, has_gpu: bool) -> Iterator[Finding]:
    if not importlib.util.find_spec(backend.module):
        yield Finding(TOPIC, backend.name, "broken" if backend.is_needed else "missing", "not installed", backend.install)
        return
    if backend.needs_gpu and not has_gpu:
        version = installed_version(backend.package) or "some version"
        yield Finding(TOPIC, backend.name, "unusable", f"{version} is installed, but no NVIDIA GPU is to be found", _DRIVER)
        return
    try:
        for name, detail in backend.look():
            yield Finding(TOPIC, name, "ok", detail)
    except Exception as error:
        mend = f"pip install --force-reinstall {backend.package}"
        yield Finding(TOPIC, backend.name, "broken" if backend.is_needed else "unusable", f"{type(error).__name__}: {error}", mend)


def _openvino() -> Iterator[tuple[str, str]]:
    import openvino  # noqa: F401 -- where it is broken, this says so

    from edge_hoi.runtime.int8_sums import sums_are_cut_off
    from edge_hoi.runtime.openvino_core import openvino_core

    core = openvino_core()
    for device in core.available_devices:
        arithmetic = ", ".join(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        caution = (
            "; its INT8 overflows, as without VNNI, so INT8 with weights of 8 bits runs in fp32"
            if device == "CPU" and sums_are_cut_off()
            else ""
        )
        yield f"openvino {device}", f"{core.get_property(device, 'FULL_DEVICE_NAME')}: {arithmetic}{caution}"


def _onnxruntime() -> Iterator[tuple[str, str]]:
    import onnxruntime

    yield "onnxruntime", f"{onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"


def _torch() -> Iterator[tuple[str, str]]:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield "torch", f"{torch.__version__}: CUDA {torch.version.cuda} on {names}"
    else:
        yield "torch", f"{torch.__version__}: CPU only, for there is no CUDA GPU, or no driver for one"


def _importable(name: str, module: str) -> Callable[[], Iterator[tuple[str, str]]]:
    def look() -> Iterator[tuple[str, str]]:
        yield name, str(importlib.import_module(module).__version__)

    return look


BACKENDS = (
    Backend("openvino", "openvino", "openvino", "pip install openvino", _openvino, is_needed=True),
    Backend("onnxruntime", "onnxruntime", "onnxruntime", "pip install 'edge-hoi[onnxruntime]'", _onnxruntime),
    Backend("torch", "torch", "torch", "pip install 'edge-hoi[build]'; not needed to run a stream", _torch),
    Backend(
        "tensorrt",
        "tensorrt",
        "tensorrt",
        "pip install 'edge-hoi[tensorrt]', with libraries of NVIDIA's package index; on a Jetson: apt-get install python3-libnvinfer",
        _importable("tensorrt", "tensorrt"),
        needs_gpu=True,
    ),
    Backend(
        "tensorrt-rtx",
        "tensorrt_rtx",
        "tensorrt-rtx",
        "pip install 'edge-hoi[tensorrt-rtx]'",
        _importable("tensorrt-rtx", "tensorrt_rtx"),
        needs_gpu=True,
    ),
    Backend(
        "torch-tensorrt",
        "torch_tensorrt",
        "torch-tensorrt",
        "pip install 'edge-hoi[torch-tensorrt]', on a machine with an NVIDIA GPU",
        _importable("torch-tensorrt", "torch_tensorrt"),
        needs_gpu=True,
    ),
)
