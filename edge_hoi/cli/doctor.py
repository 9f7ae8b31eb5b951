"""`edge-hoi doctor`: what this machine has, what works, and what to do about what does not."""

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from edge_hoi import __version__
from edge_hoi.cli.doctor_backends import find_backends
from edge_hoi.cli.finding import Finding, Status
from edge_hoi.cli.terminal import out
from edge_hoi.telemetry import this_machine

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


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report devices, versions, backends and engines, and what each missing one needs.

    Exits with 1 where something that `edge-hoi run` needs does not work.
    """
    findings = [finding for look in (_machine, _packages, find_backends, _video, _engines) for finding in _guarded(look)]
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
