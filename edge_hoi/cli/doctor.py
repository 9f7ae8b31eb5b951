"""`edge-hoi doctor`: what works on this machine, and how to fix what does not."""

import importlib
import json
import platform
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from edge_hoi import __version__
from edge_hoi.child_process import python_command
from edge_hoi.cli.terminal import out
from edge_hoi.errors import install_command
from edge_hoi.telemetry import installed_version, nvidia_gpus, this_machine

Status = Literal["ok", "missing", "unusable", "broken", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        topic: Heading of the line.
        name: What was checked.
        status: `ok`, `missing` (optional, not installed), `unusable` (optional, installed, and fails here), `broken` (required, and
            missing or failing), `info`.
        detail: What was found.
        fix: The command or step that helps, or an empty string.
    """

    topic: str
    name: str
    status: Status
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution that edge-hoi uses.

    Attributes:
        name: As pip has it.
        module: What it is imported as.
        extra: The extra of edge-hoi that installs it; None if `edge-hoi run` needs it.
        others: Distributions that bring the same module.
    """

    name: str
    module: str
    extra: str | None = None
    others: tuple[str, ...] = ()

    def installed(self) -> dict[str, str]:
        """Return the version of each installed distribution that brings the module, by name."""
        return {name: version for name in (self.name, *self.others) if (version := installed_version(name))}


_OPENCV = ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
PACKAGES = (
    Package("av", "av"),
    Package("lapx", "lap"),
    Package("numpy", "numpy"),
    Package("opencv-python-headless", "cv2", others=_OPENCV),
    Package("onnx", "onnx"),
    Package("openvino", "openvino"),
    Package("pillow", "PIL"),
    Package("pydantic", "pydantic"),
    Package("pyyaml", "yaml"),
    Package("rich", "rich"),
    Package("safetensors", "safetensors"),
    Package("typer", "typer"),
    Package("typing-extensions", "typing_extensions"),
    Package("tokenizers", "tokenizers", "text"),
    Package("onnxruntime", "onnxruntime", "onnxruntime", ("onnxruntime-gpu", "onnxruntime-openvino")),
    Package("torch", "torch", "build"),
    Package("torchvision", "torchvision", "build"),
    Package("open_clip_torch", "open_clip", "build"),
    Package("onnxscript", "onnxscript", "build"),
    Package("matplotlib", "matplotlib", "train"),
    Package("tensorboard", "tensorboard", "train"),
    Package("paho-mqtt", "paho.mqtt.client", "mqtt"),
    Package("confluent-kafka", "confluent_kafka", "kafka"),
    Package("httpx", "httpx", "webhook"),
    Package("httpcore", "httpcore", "webhook"),
    Package("pyarrow", "pyarrow", "parquet"),
    Package("redis", "redis", "redis"),
    Package("cuda-bindings", "cuda.bindings", "tensorrt-rtx"),
    Package("tensorrt", "tensorrt", "tensorrt", ("tensorrt-cu12", "tensorrt-cu13")),
    Package("tensorrt-rtx", "tensorrt_rtx", "tensorrt-rtx"),
    Package("torch-tensorrt", "torch_tensorrt", "torch-tensorrt"),
)
NEEDS_GPU = ("tensorrt", "tensorrt_rtx", "torch_tensorrt")
"""Modules that are of use, and can be imported, only where there is an NVIDIA GPU."""
_SECONDS_TO_IMPORT = 120
_REINSTALL = "`pip install --force-reinstall .` in a checkout of edge-hoi"
_DRIVER = "install NVIDIA's driver, until `nvidia-smi` lists the GPU; in a container, start it with the GPU (`docker run --gpus all`)"
_JETSON = Path("/etc/nv_tegra_release")
_INTEL_NODES = {"GPU": "dri", "NPU": "accel"}

# In a process of its own: a library built for other instructions ends the process that imports it. One line of JSON a module.
_IMPORT = """
import importlib, json, os, sys
sys.modules["openvino_telemetry"] = None  # as `edge_hoi.runtime` does
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
        answer = ["ok", ""]
    except BaseException as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name is not None and (module + ".").startswith(error.name + ".")
        answer = ["missing" if absent else "failed", f"{type(error).__name__}: {error}"]
    print(json.dumps(answer), file=answers, flush=True)
"""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report devices, packages, backends and engines, and how to fix what does not work.

    Exits with 1 if something that `edge-hoi run` needs does not work.
    """
    findings = list(_examine())
    if as_json:
        out.print_json(json.dumps([asdict(finding) for finding in findings]))
    else:
        _print_table(findings)
    if any(finding.status == "broken" for finding in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[Finding]:
    has_gpu = bool(nvidia_gpus()) or _JETSON.exists()
    yield from _guarded(_machine)
    tried = [package for package in PACKAGES if has_gpu or package.module not in NEEDS_GPU]
    answers = import_all(package.module for package in tried)
    packages = [_package_finding(package, answers) for package in PACKAGES]
    yield from packages
    if any(finding.status == "broken" for finding in packages):
        yield Finding("video", "ffmpeg", "info", "not checked: fix the broken packages first")
        return
    for backend, examine in BACKENDS.items():
        if answers.get(backend.replace("-", "_"), ("missing", ""))[0] == "ok":
            yield from _guarded(examine, backend)
    yield from _guarded(_video)
    yield from _guarded(_engines)


def import_all(modules: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Import modules in other processes; return for each `ok`, `missing` or `failed`, and the exception's text."""
    answers: dict[str, tuple[str, str]] = {}
    waiting = list(modules)
    while waiting:
        try:
            command = python_command(_IMPORT, *waiting)
            child = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS_TO_IMPORT, check=False)  # noqa: S603
            end = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit status {child.returncode}"
            lines, reason = child.stdout.splitlines(), f"the import ends the process ({end})"
        except subprocess.TimeoutExpired as error:
            lines, reason = (error.stdout or b"").decode().splitlines(), f"the import takes longer than {_SECONDS_TO_IMPORT} s"
        answers |= {module: tuple(json.loads(line)) for module, line in zip(waiting, lines, strict=False)}
        if len(lines) < len(waiting):
            answers[waiting[len(lines)]] = ("failed", reason)
        waiting = waiting[len(lines) + 1 :]
    return answers


def _package_finding(package: Package, answers: dict[str, tuple[str, str]]) -> Finding:
    versions = package.installed()
    installed = ", ".join(version if name == package.name else f"{name} {version}" for name, version in versions.items())
    is_needed = package.extra is None
    answer, reason = answers.get(package.module, ("not tried" if installed else "missing", ""))
    if answer == "ok":
        return Finding("packages", package.name, "ok", installed or "works, installed without pip")
    if answer == "not tried":
        return Finding("packages", package.name, "unusable", f"{installed}; there is no NVIDIA GPU to run engines on", _DRIVER)
    if answer == "missing" and not installed:
        if package.extra is None:
            return Finding("packages", package.name, "broken", "not installed", f"pip install {package.name}")
        return Finding("packages", package.name, "missing", f"optional, extra [{package.extra}]", _install(package.extra))
    fix = f"pip install --force-reinstall {package.name}"
    if set(versions) - {package.name}:  # they share one folder, and one may need libraries that are not here
        fix = f"pip uninstall -y {' '.join(versions)}; pip install {package.name}"
    detail = ": ".join(filter(None, (installed, " ".join(reason.split()))))
    return Finding("packages", package.name, "broken" if is_needed else "unusable", detail, fix)


def _install(extra: str) -> str:
    conditions = {
        "tensorrt": ", with libraries of NVIDIA's package index; on a Jetson: apt-get install python3-libnvinfer",
        "torch-tensorrt": ", on a machine with an NVIDIA GPU",
    }
    return install_command(extra) + conditions.get(extra, "")


def _guarded(examine: Callable[[], Iterator[Finding]], backend: str = "") -> Iterator[Finding]:
    """Yield an examination's findings; one that fails becomes a finding itself."""
    try:
        yield from examine()
    except Exception as error:  # noqa: BLE001, RUF100 -- native libraries raise anything
        reason = f"{type(error).__name__}: {error}"
        if backend:
            status: Status = "broken" if backend == "openvino" else "unusable"
            yield Finding("backends", backend, status, reason, f"pip install --force-reinstall {backend}")
        else:
            name = examine.__name__.strip("_")
            yield Finding(name, name, "broken", reason, _REINSTALL)


def _machine() -> Iterator[Finding]:
    machine = this_machine(())
    yield Finding("machine", "edge-hoi", "info", __version__)
    yield Finding("machine", "python", "info", f"{machine.python} on {platform.system()} {platform.release()}")
    instructions = " ".join(machine.instructions)
    yield Finding("machine", "processor", "info", f"{machine.processor}, {machine.cores} logical cores, {instructions}".rstrip(", "))
    yield Finding("machine", "memory", "info", f"{machine.memory_gib:.1f} GiB")
    for gpu in machine.gpus or ("none that NVIDIA's driver lists",):
        yield Finding("machine", "gpu", "info", gpu)


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
        yield Finding("engines", "default", "broken", str(error), _REINSTALL)
        return
    about = f"{manifest.default_vocabulary} on {manifest.backend}, {manifest.precision}"
    yield Finding("engines", "default", "ok", "; ".join(filter(None, (about, caution_of(manifest)))))
    yield _photo_engine()


def _photo_engine() -> Finding:
    from edge_hoi.pipeline.photo_engine import find_photo_engine
    from edge_hoi.runtime import read_manifest

    folder = find_photo_engine()
    if folder is None:
        return Finding(
            "engines", "photo", "missing", "for real video; fetched by the first run that needs it", "edge-hoi models pull photo"
        )
    manifest = read_manifest(folder)
    return Finding("engines", "photo", "ok", f"{manifest.name} on {manifest.backend}, {manifest.precision}, in {folder}")


def _openvino() -> Iterator[Finding]:
    from edge_hoi.runtime.int8_saturation import int8_saturates
    from edge_hoi.runtime.openvino_core import openvino_core

    core = openvino_core()
    found = core.available_devices
    for kind in ("GPU", "NPU"):
        if not any(device.startswith(kind) for device in found):
            fix = f"install the driver of Intel's {kind}, and give this user access to /dev/{_INTEL_NODES[kind]}"
            yield Finding("backends", f"openvino {kind}", "missing", f"optional, `--device {kind.lower()}`: OpenVINO finds none", fix)
    for device in found:
        arithmetic = ", ".join(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        caution = (
            "; its INT8 overflows, as without VNNI, so INT8 with weights of 8 bits runs in fp32"
            if device == "CPU" and int8_saturates()
            else ""
        )
        detail = f"{core.get_property(device, 'FULL_DEVICE_NAME')}, `--device {device.partition('.')[0].lower()}`: {arithmetic}{caution}"
        yield Finding("backends", f"openvino {device}", "ok", detail)


def _onnxruntime() -> Iterator[Finding]:
    import onnxruntime

    from edge_hoi.runtime.onnxruntime_engine import FIXES, PROVIDERS, session_options

    available = onnxruntime.get_available_providers()
    yield Finding("backends", "onnxruntime", "ok", f"{onnxruntime.__version__}, `--device cpu`: {', '.join(available)}")
    for device, provider in PROVIDERS.items():
        if provider in available:
            # Where a provider's libraries or its device are missing, ONNX Runtime takes the next one.
            session = onnxruntime.InferenceSession(_smallest_network(), session_options(with_int8=False), providers=[provider])
            starts = session.get_providers()[0] == provider
            detail = f"`--device {device}`: {provider} {'starts' if starts else 'does not start'}"
            yield Finding("backends", f"onnxruntime {device}", "ok" if starts else "unusable", detail, "" if starts else FIXES[device])


def _smallest_network() -> bytes:
    from onnx import TensorProto, helper

    value, same = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("value", "same"))
    graph = helper.make_graph([helper.make_node("Identity", ["value"], ["same"])], "smallest", [value], [same])
    network: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    return network


def _torch() -> Iterator[Finding]:
    import torch

    detail = f"{torch.__version__}, `--device cpu`: no CUDA GPU, or no driver for one"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        detail = f"{torch.__version__}, `--device cpu` or `cuda`: CUDA {torch.version.cuda} on {names}"
    yield Finding("backends", "torch", "ok", detail)


def _of_module(backend: str) -> Callable[[], Iterator[Finding]]:
    def examine() -> Iterator[Finding]:
        version = importlib.import_module(backend.replace("-", "_")).__version__
        yield Finding("backends", backend, "ok", f"{version}, `--device cuda`: {', '.join(nvidia_gpus()) or 'the Jetson GPU'}")

    return examine


BACKENDS: dict[str, Callable[[], Iterator[Finding]]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "torch": _torch,
    "tensorrt": _of_module("tensorrt"),
    "tensorrt-rtx": _of_module("tensorrt-rtx"),
    "torch-tensorrt": _of_module("torch-tensorrt"),
}
"""Examination of each backend that `--backend` names, run where its module can be imported."""


def _print_table(findings: list[Finding]) -> None:
    colours = {"ok": "green", "missing": "yellow", "unusable": "yellow", "broken": "bold red", "info": "dim"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "what", "status", "found", "fix"):
        table.add_column(column, overflow="fold")
    topic = ""
    for finding in findings:
        heading = "" if finding.topic == topic else finding.topic
        topic = finding.topic
        table.add_row(heading, finding.name, Text(finding.status, colours[finding.status]), finding.detail, finding.fix)
    out.print(table)
