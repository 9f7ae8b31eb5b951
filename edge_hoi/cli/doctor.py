"""`edge-hoi doctor`: what this machine has, what works, and what to do about what does not."""

import importlib.metadata
import importlib.util
import json
import os
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

Status = Literal["ok", "missing", "broken", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: Heading that it stands under.
        name: What was looked at.
        status: `ok`, `missing` (optional and absent), `broken` (needed and not usable), `info`.
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
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "cuda-bindings": "tensorrt-rtx",
    "paho-mqtt": "mqtt",
    "confluent-kafka": "kafka",
    "httpx": "webhook",
    "pyarrow": "parquet",
    "redis": "redis",
}


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
    yield Finding("machine", "edge-hoi", "info", __version__)
    yield Finding("machine", "python", "info", f"{platform.python_version()} on {platform.system()} {platform.release()}")
    yield Finding("machine", "processor", "info", f"{processor_name()}, {os.cpu_count()} logical cores")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("machine", "memory", "info", f"{memory:.1f} GiB")


def processor_name() -> str:
    """Name the CPU as its maker does."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _packages() -> Iterator[Finding]:
    for package in RUNTIME_PACKAGES:
        version = _version(package)
        if version:
            yield Finding("packages", package, "ok", version)
        else:
            yield Finding("packages", package, "broken", "not installed", f"pip install {package}")
    for package, extra in OPTIONAL_PACKAGES.items():
        version = _version(package)
        if version:
            yield Finding("packages", package, "ok", version)
        else:
            yield Finding("packages", package, "missing", f"optional, extra [{extra}]", f"pip install 'edge-hoi[{extra}]'")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _backends() -> Iterator[Finding]:
    yield from _guarded(_openvino)
    yield from _guarded(_onnxruntime)
    yield from _guarded(_torch)
    for module, mend in {
        "tensorrt": "pip install 'edge-hoi[tensorrt]', or JetPack's system package on a Jetson",
        "tensorrt_rtx": "pip install 'edge-hoi[tensorrt-rtx]'",
        "torch_tensorrt": "pip install torch-tensorrt, on a machine with a CUDA GPU",
    }.items():
        if importlib.util.find_spec(module):
            yield Finding("backends", module, "ok", "installed")
        else:
            yield Finding("backends", module, "missing", "not installed", mend)


def _openvino() -> Iterator[Finding]:
    import openvino

    core = openvino.Core()
    for device in core.available_devices:
        arithmetic = ", ".join(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        yield Finding("backends", f"openvino {device}", "ok", f"{core.get_property(device, 'FULL_DEVICE_NAME')}: {arithmetic}")


def _onnxruntime() -> Iterator[Finding]:
    if not importlib.util.find_spec("onnxruntime"):
        yield Finding("backends", "onnxruntime", "missing", "not installed", "pip install 'edge-hoi[onnxruntime]'")
        return
    import onnxruntime

    yield Finding("backends", "onnxruntime", "ok", ", ".join(onnxruntime.get_available_providers()))


def _torch() -> Iterator[Finding]:
    if not importlib.util.find_spec("torch"):
        yield Finding("backends", "torch", "missing", "not installed; not needed to run a stream", "pip install 'edge-hoi[build]'")
        return
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        yield Finding("backends", "torch", "ok", f"CUDA {torch.version.cuda}: {names}")
    else:
        yield Finding("backends", "torch", "ok", "CPU only: no CUDA GPU, or no driver for one")


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
    colours = {"ok": "green", "missing": "yellow", "broken": "bold red", "info": "dim"}
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
