"""Plans of an engine: found in its folder or among those kept, or compiled, which takes seconds (TensorRT-RTX) or minutes (TensorRT)."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from edge_hoi.errors import EngineError
from edge_hoi.runtime.manifest import Manifest, Plan, model_path
from edge_hoi.runtime.tensorrt_builder import Order
from edge_hoi.runtime.tensorrt_layers import PlanLayer

Note = Callable[[str], None]

_NOTE_EVERY_SECONDS = 10.0
_LEAST_SHARE = 0.02  # before which the time left would be guessed
_DIGEST_SIZE = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Compiled:
    """How the compilation of a plan went.

    Attributes:
        seconds: That it took.
        layers: Of the plan, as far as the builder lists them.
    """

    seconds: float
    layers: list[PlanLayer]


def compile_plan(model: Path, plan: Plan, output: Path, *, cache_folder: Path | None = None, note: Note = lambda _: None) -> Compiled:
    """Compile a network for a GPU, in a process of its own.

    Args:
        model: The network's file.
        plan: What for; `tensorrt-rtx` compiles anywhere, the others on a GPU of the kind that they compile for.
        output: The file to write, whole or not at all; its folder exists.
        cache_folder: Where TensorRT keeps measured times of kernels for the next build; None to keep none.
        note: Is told every ten seconds how far it is, and what time is left.

    Returns:
        How it went.

    Raises:
        EngineError: It cannot be compiled; the message is the builder's own.
    """
    timing_cache = None
    if plan.backend == "tensorrt" and cache_folder is not None:  # TensorRT-RTX measures nothing when it builds
        cache_folder.mkdir(parents=True, exist_ok=True)
        timing_cache = str(cache_folder / f"{plan.backend}-{plan.version}-{'-'.join(plan.compute_capabilities)}.timing")
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    order = Order(str(model), str(partial), plan.model_dump_json(), timing_cache)
    builder = "torch_tensorrt_builder" if plan.backend == "torch-tensorrt" else "tensorrt_builder"
    command = [sys.executable, "-m", f"edge_hoi.runtime.{builder}", json.dumps(asdict(order))]
    try:
        answer = _follow(command, note)
        if "error" in answer:
            raise EngineError(str(answer["error"]))
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    layers = [PlanLayer(each["kind"], tuple(each["operands"]), tuple(each["origins"])) for each in answer["layers"]]
    return Compiled(answer["seconds"], layers)


def read_plan(
    folder: Path, manifest: Manifest, wanted: Plan, *, cache_folder: Path | None = None, note: Note = lambda _: None, anew: bool = False
) -> bytes:
    """Give a plan that serves: the folder's own, one that was kept, or a new one.

    Args:
        folder: The engine's folder.
        manifest: Its manifest, verified.
        wanted: What is needed, for the GPU at hand.
        cache_folder: Where compiled plans are kept, by all that they depend on; None to keep none.
        note: Is told when one is compiled, why, and how far it is.
        anew: Whether to compile it though there is one.

    Returns:
        The plan's bytes.

    Raises:
        EngineError: It cannot be compiled.
        ManifestError: The engine has no such network.
    """
    model = model_path(folder, manifest, wanted.network)
    kept = cached_plan_path(cache_folder, manifest, wanted) if cache_folder is not None else None
    if not anew:
        for plan in manifest.plans:
            if plan.serves(wanted):
                return (folder / plan.path).read_bytes()
        found = _read_kept(kept, note) if kept else None
        if found:
            return found
    have = ", ".join(Path(plan.path).stem for plan in manifest.plans)
    note(f"compiling {Path(wanted.path).stem} for this GPU" + (f", for which the engine's own will not do: {have}" if have else ""))
    with TemporaryDirectory() as temporary:
        output = Path(temporary) / "plan"
        compiled = compile_plan(model, wanted, output, cache_folder=cache_folder, note=note)
        content = output.read_bytes()
    note(f"compiled in {compiled.seconds:.0f} s, {len(content) / 1e6:.0f} MB" + ("" if kept else "; it is not kept"))
    if kept:
        # Behind its own hash, so that what was cut short or damaged is never handed to the library.
        replace_file(kept, hashlib.sha256(content).digest() + content)
    return content


def cached_plan_path(cache_folder: Path, manifest: Manifest, plan: Plan) -> Path:
    """Name the file that a plan is kept in: by the network's hash, and all that its compilation depends on.

    Args:
        cache_folder: Where plans are kept.
        manifest: The engine's.
        plan: The plan.
    """
    return cache_folder / manifest.files[plan.network] / Path(plan.path).name


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, and its folder where there is none.

    Args:
        path: The file.
        content: What is to be in it.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _read_kept(path: Path, note: Note) -> bytes | None:
    if not path.exists():
        return None
    written = path.read_bytes()
    digest, content = written[:_DIGEST_SIZE], written[_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() == digest:
        return content
    note(f"{path} is damaged")
    return None


def _follow(command: list[str], note: Note) -> dict[str, Any]:
    """Run a builder and pass on how far it is; give its last answer."""
    started = told = time.monotonic()
    answer: dict[str, Any] = {}
    with TemporaryFile() as complaints, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True) as process:  # noqa: S603 -- this Python
        try:
            for line in process.stdout or ():
                answer = json.loads(line) if line.startswith("{") else answer
                now = time.monotonic()
                if now - told >= _NOTE_EVERY_SECONDS:
                    told = now
                    note(_how_far(answer.get("share", 0.0), now - started))
        except BaseException:
            process.kill()
            raise
        process.wait()
        complaints.seek(0)
        words = complaints.read().decode(errors="replace").strip().splitlines()
    if "layers" not in answer and "error" not in answer:
        raise EngineError(f"the builder died with status {process.returncode} ({words[-1] if words else 'without a word'}); try it again")
    return answer


def _how_far(share: float, seconds: float) -> str:
    if share < _LEAST_SHARE:
        return f"compiling for {seconds:.0f} s"
    return f"compiling: {100 * share:.0f} % in {seconds:.0f} s, about {seconds * (1 - share) / share:.0f} s left"
