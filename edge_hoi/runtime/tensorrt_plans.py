"""Find an engine's plan in its folder or in the cache, or compile it, in seconds (TensorRT-RTX) or minutes (TensorRT)."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from edge_hoi.child_process import python_command
from edge_hoi.errors import EngineError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime.manifest import Manifest, model_path
from edge_hoi.runtime.plan import Plan
from edge_hoi.runtime.tensorrt_builder import BuildRequest
from edge_hoi.runtime.tensorrt_layers import PlanLayer
from edge_hoi.runtime.verified_file import verified_file
from edge_hoi.unfinished import writing_file

Progress = Callable[[str], None]

# One needs the network in PyTorch, which this package never imports.
_BUILDERS = dict.fromkeys(("tensorrt", "tensorrt-rtx"), "edge_hoi.runtime.tensorrt_builder") | {
    "torch-tensorrt": "edge_hoi.export.torch_tensorrt_builder"
}
_PROGRESS_SECONDS = 10.0
_MIN_SHARE = 0.02  # below it the remaining time cannot be estimated
_DIGEST_SIZE = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Compiled:
    """Result of a compilation: its duration, and the plan's layers as far as the builder lists them."""

    seconds: float
    layers: list[PlanLayer]


def compile_plan(
    model: Path,
    plan: Plan,
    output: Path,
    *,
    sha256: str | None = None,
    cache_folder: Path | None = None,
    progress: Progress = lambda _: None,
) -> Compiled:
    """Compile a network for a GPU, in a process of its own.

    Args:
        model: The network's file.
        plan: The target; `tensorrt-rtx` compiles anywhere, the others only on a GPU of the target's kind.
        output: The file to write, atomically; its folder exists.
        sha256: The network's hash; None for a file of this process's own.
        cache_folder: For TensorRT's kernel timings, which speed up the next build; None to keep none.
        progress: Called every ten seconds with the share done and the remaining time.

    Raises:
        EngineError: It cannot be compiled; the message is the builder's.
    """
    timing_cache = None
    if plan.backend == "tensorrt" and cache_folder is not None:  # TensorRT-RTX measures nothing when it builds
        cache_folder.mkdir(parents=True, exist_ok=True)
        timing_cache = str(cache_folder / f"{plan.backend}-{plan.version}-{'-'.join(plan.compute_capabilities)}.timing")
    with writing_file(output, is_shared=True) as unfinished:
        request = BuildRequest(str(model), sha256 or sha256_of_file(model), str(unfinished), plan.model_dump_json(), timing_cache)
        command = python_command(f"from {_BUILDERS[plan.backend]} import main; main()", json.dumps(asdict(request)))
        result = _run_builder(command, progress)
        if "error" in result:
            raise EngineError(str(result["error"]))
    layers = [PlanLayer(each["kind"], tuple(each["operands"]), tuple(each["origins"])) for each in result["layers"]]
    return Compiled(result["seconds"], layers)


def read_plan(
    folder: Path,
    manifest: Manifest,
    wanted: Plan,
    *,
    cache_folder: Path | None = None,
    progress: Progress = lambda _: None,
    recompile: bool = False,
) -> bytes:
    """Return a plan that serves: the folder's, a cached one, or a new one, which is cached.

    Args:
        folder: The engine's folder.
        manifest: Its manifest.
        wanted: The plan needed on this machine's GPU.
        cache_folder: For compiled plans; None to keep none.
        progress: Called when a plan is compiled, with the reason and the remaining time.
        recompile: Whether to ignore existing plans.

    Raises:
        EngineError: It cannot be compiled.
        ManifestError: The engine has no such network, or a file differs from the manifest.
    """
    model = model_path(folder, manifest, wanted.network)
    cached = cached_plan_path(cache_folder, manifest, wanted) if cache_folder is not None else None
    if not recompile:
        for plan in manifest.plans:
            if plan.serves(wanted):
                with verified_file(folder, manifest, plan.path) as copy:
                    return copy.read_bytes()
        found = _read_cached(cached, progress) if cached else None
        if found:
            return found
    have = ", ".join(Path(plan.path).stem for plan in manifest.plans)
    progress(f"compiling {Path(wanted.path).stem} for this GPU" + (f"; the engine's plans do not fit it: {have}" if have else ""))
    with TemporaryDirectory() as temporary:
        output = Path(temporary) / "plan"
        sha256 = manifest.files[wanted.network]
        compiled = compile_plan(model, wanted, output, sha256=sha256, cache_folder=cache_folder, progress=progress)
        content = output.read_bytes()
    progress(f"compiled in {compiled.seconds:.0f} s, {len(content) / 1e6:.0f} MB" + ("" if cached else "; it is not cached"))
    if cached:
        # Preceded by its hash, so that a truncated or damaged plan never reaches the library.
        replace_file(cached, hashlib.sha256(content).digest() + content)
    return content


def cached_plan_path(cache_folder: Path, manifest: Manifest, plan: Plan) -> Path:
    """Return the cache file of a plan, named by the network's hash and everything its compilation depends on."""
    return cache_folder / manifest.files[plan.network] / Path(plan.path).name


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically, and create its folder.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing_file(path, is_shared=True) as unfinished:
        unfinished.write_bytes(content)


def _read_cached(path: Path, progress: Progress) -> bytes | None:
    if not path.exists():
        return None
    written = path.read_bytes()
    digest, content = written[:_DIGEST_SIZE], written[_DIGEST_SIZE:]
    if hashlib.sha256(content).digest() == digest:
        return content
    progress(f"{path} is damaged")
    return None


def _run_builder(command: list[str], progress: Progress) -> dict[str, Any]:
    """Run a builder, report its progress, and return its last message."""
    started = reported = time.monotonic()
    message: dict[str, Any] = {}
    with TemporaryFile() as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:  # noqa: S603 -- this Python
        try:
            for line in process.stdout or ():
                message = json.loads(line) if line.startswith("{") else message
                now = time.monotonic()
                if now - reported >= _PROGRESS_SECONDS:
                    reported = now
                    progress(_describe_progress(message.get("share", 0.0), now - started))
        except BaseException:
            process.kill()
            raise
        process.wait()
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    if "layers" not in message and "error" not in message:
        raise EngineError(f"the builder exited with status {process.returncode} ({lines[-1] if lines else 'no message'}); try again")
    return message


def _describe_progress(share: float, seconds: float) -> str:
    if share < _MIN_SHARE:
        return f"compiling for {seconds:.0f} s"
    return f"compiling: {100 * share:.0f} % in {seconds:.0f} s, ETA {seconds * (1 - share) / share:.0f} s"
