"""`edge-hoi doctor`: what this machine has, what works, and what to do about what does not."""

import importlib.util
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from edge_hoi import __version__
from edge_hoi.cli.terminal import out
from edge_hoi.telemetry import installed_version, nvidia_gpus, this_machine

Status = Literal["ok", "missing", "unusable", "broken", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: Heading that it stands under.
        name: What was looked at.
        status: `ok`, `missing` (optional and absent), `unusable` (optional, there, and of no use on this machine), `broken` (needed and
            not usable), `info`.
        detail: What was found.
        mend: The command or step that helps, or an empty string.
    """

    topic: str
    name: str
    status: Status
    detail: str
    mend: str = ""


RUNTIME_PACKAGES = ("av", "lapx", "numpy", "opencv-python", "openvino", "pydantic", "pyyaml", "rich", "safetensors", "typer")
OPTIONAL_PACKAGES = {
    "tokenizers": "text",
    "onnxruntime": "onnxruntime",
    "torch": "build",
    "torchvision": "build",
    "open_clip_torch": "build",
    "onnx": "build",
    "onnxscript": "build",
    "matplotlib": "train",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "torch-tensorrt": "torch-tensorrt",
    "cuda-bindings": "tensorrt-rtx",
    "paho-mqtt": "mqtt",
    "confluent-kafka": "kafka",
    "httpx": "webhook",
    "pyarrow": "parquet",
    "redis": "redis",
}
TOPIC = "backends"
_JETSON = Path("/etc/nv_tegra_release")
_DRIVER = "install NVIDIA's driver, until `nvidia-smi` lists the GPU; in a container, start it with the GPU (`docker run --gpus all`)"


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report devices, versions, backends and engines, and what each missing one needs.

    Exits with 1 where something that `edge-hoi run` needs does not work.
    """
    findings = [finding for look in (_machine, _packages, _backends, _video, _engines) for finding in _guarded(look)]
    if as_json:
        out.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        _print_table(findings)
    if any(finding.status == "broken" for finding in findings):
        raise typer.Exit(1)


def _guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn a look that fails into a finding: the doctor must not die of what it is called to explain."""
    try:
        yield from look()
    except Exception as error:  # noqa: BLE001, RUF100 — native libraries raise anything
        name = look.__name__.strip("_")
        yield Finding(name, name, "broken", f"{type(error).__name__}: {error}", "pip install --force-reinstall edge-hoi")


def _machine() -> Iterator[Finding]:
    machine = this_machine(())
    yield Finding("machine", "edge-hoi", "info", __version__)
    yield Finding("machine", "python", "info", f"{machine.python} on {platform.system()} {platform.release()}")
    instructions = " ".join(machine.instructions)
    yield Finding("machine", "processor", "info", f"{machine.processor}, {machine.cores} logical cores, {instructions}".rstrip(", "))
    yield Finding("machine", "memory", "info", f"{machine.memory_gib:.1f} GiB")
    for gpu in machine.gpus or ("none that NVIDIA's driver lists",):
        yield Finding("machine", "gpu", "info", gpu)


def _packages() -> Iterator[Finding]:
    versions = this_machine((*RUNTIME_PACKAGES, *OPTIONAL_PACKAGES)).versions
    for package in RUNTIME_PACKAGES:
        if package in versions:
            yield Finding("packages", package, "ok", versions[package])
        else:
            yield Finding("packages", package, "broken", "not installed", f"pip install {package}")
    for package, extra in OPTIONAL_PACKAGES.items():
        if package in versions:
            yield Finding("packages", package, "ok", versions[package])
        else:
            yield Finding("packages", package, "missing", f"optional, extra [{extra}]", f"pip install 'edge-hoi[{extra}]'")


def _video() -> Iterator[Finding]:
    import av

    libraries = ", ".join(f"{name} {'.'.join(map(str, version))}" for name, version in av.library_versions.items())
    yield Finding("video", "ffmpeg", "ok", libraries)
    for codec in ("h264", "hevc", "mjpeg", "av1"):
        status: Status = "ok" if codec in av.codecs_available else "missing"
        yield Finding("video", f"decode {codec}", status, "available" if status == "ok" else "not in this build of PyAV")


def _engines() -> Iterator[Finding]:
    from edge_hoi.errors import EdgeHoiError
    from edge_hoi.pipeline.engines import caution_of, engine_folder
    from edge_hoi.runtime import read_manifest

    try:
        manifest = read_manifest(engine_folder("default"))
    except EdgeHoiError as error:
        yield Finding("engines", "default", "broken", str(error), "pip install --force-reinstall edge-hoi")
        return
    about = f"{manifest.default_vocabulary} on {manifest.backend}, {manifest.precision}"
    yield Finding("engines", "default", "ok", "; ".join(filter(None, (about, caution_of(manifest)))))


def _print_table(findings: list[Finding]) -> None:
    colours = {"ok": "green", "missing": "yellow", "unusable": "yellow", "broken": "bold red", "info": "dim"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "what", "status", "found", "to mend"):
        table.add_column(column, overflow="fold")
    topic = ""
    for finding in findings:
        heading = "" if finding.topic == topic else finding.topic
        topic = finding.topic
        status = f"[{colours[finding.status]}]{finding.status}[/]"
        table.add_row(heading, finding.name, status, escape(finding.detail), escape(finding.mend))
    out.print(table)


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


def _backends() -> Iterator[Finding]:
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

    from edge_hoi.runtime.int8_saturation import int8_saturates
    from edge_hoi.runtime.openvino_core import openvino_core

    core = openvino_core()
    for device in core.available_devices:
        arithmetic = ", ".join(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        caution = (
            "; its INT8 overflows, as without VNNI, so INT8 with weights of 8 bits runs in fp32"
            if device == "CPU" and int8_saturates()
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
