"""Plans in an engine's folder: TensorRT-RTX compiles them for any GPU, the other backends for this machine's."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.runtime import Device, Manifest
from edge_hoi.runtime.gpu import Gpu
from edge_hoi.runtime.int8_saturation import engine_saturates
from edge_hoi.runtime.open import PLAN_BACKENDS
from edge_hoi.runtime.plan import AMPERE_AND_LATER, Plan, PlanBackend
from edge_hoi.runtime.tensorrt_layers import count_products
from edge_hoi.runtime.tensorrt_library import load_library
from edge_hoi.runtime.tensorrt_plans import compile_plan


@dataclass(frozen=True)
class PlanTarget:
    """What a plan is compiled for.

    Attributes:
        compute_capabilities: Of the GPUs, such as `8.6`; with TensorRT `ampere+` for 8.0 and later; empty for this machine's GPU.
        max_batch: Largest batch.
        cache_folder: For TensorRT's kernel timings, which speed up the next build; None to keep none.
    """

    compute_capabilities: tuple[str, ...] = ()
    max_batch: int = 1
    cache_folder: Path | None = None


def plan_for(backend: str, target: PlanTarget, input_size: tuple[int, int]) -> Plan:
    """Describe the plan of a backend of `PLAN_BACKENDS` for `(H, W)` in pixels, before any work is done.

    Raises:
        EngineError: It cannot be compiled here.
        MissingDependencyError: The compiler is not installed.
    """
    version = load_library(backend).__version__
    wanted = tuple(dict.fromkeys(target.compute_capabilities))
    is_bound = backend != "tensorrt-rtx"
    if is_bound or not wanted:
        own = _capability_here(backend, is_needed=is_bound)
        others = (AMPERE_AND_LATER,) if backend == "tensorrt" else ()
        if is_bound and wanted not in ((), (own,), others):
            known = ", or for ".join((own, *others))
            raise EngineError(
                f"{backend} compiles for this machine's GPU, of compute capability {known}, got {', '.join(wanted)}; "
                "build on a GPU of that kind, or with backend 'tensorrt-rtx'"
            )
        wanted = wanted or (own,)
    height, width = input_size
    try:
        return Plan(
            backend=cast(PlanBackend, backend),
            version=version,
            compute_capabilities=wanted,
            height=height,
            width=width,
            max_batch=target.max_batch,
        )
    except ValueError as error:
        raise EngineError(
            f"build expects compute capabilities such as 8.6 and a batch of at least 1, got {', '.join(wanted)} and {target.max_batch}"
        ) from error


def add_plan(folder: Path, manifest: Manifest, plan: Plan, target: PlanTarget, progress: Callable[[str], None]) -> Manifest:
    """Compile the network in an engine's folder, and return the manifest with the plan, but without the hash of its file.

    Args:
        folder: The engine's folder, with its network.
        manifest: Its manifest.
        plan: From `plan_for`.
        target: The plan's target.
        progress: Called with the remaining time, and finally with the precisions that the plan multiplies in.

    Raises:
        EngineError: It cannot be compiled.
    """
    progress(f"compiling {Path(plan.path).stem}")
    output = folder / plan.path
    output.parent.mkdir(exist_ok=True)
    compiled = compile_plan(folder / plan.network, plan, output, cache_folder=target.cache_folder, progress=progress)
    counts = ", ".join(f"{count} in {arithmetic}" for arithmetic, count in count_products(compiled.layers).most_common())
    size = output.stat().st_size / 1e6
    progress(f"compiled in {compiled.seconds:.1f} s, {size:.1f} MB" + (f"; convolutions and products: {counts}" if counts else ""))
    return manifest.model_copy(update={"plans": (plan,)})


def gate_runner(manifest: Manifest, device: Device = "auto") -> tuple[str, Device]:
    """Return the backend and device that an engine is compared with torch on: what was named, else its own, where possible."""
    if device not in ("auto", "cpu"):
        return manifest.backend, device
    if manifest.backend in PLAN_BACKENDS and has_gpu(manifest.backend):
        return manifest.backend, "cuda"
    if manifest.backend in PLAN_BACKENDS and manifest.precision == "bf16":
        return "openvino", "cpu"  # ONNX Runtime has no bf16 on CPUs
    # On CPUs OpenVINO runs fp16 networks in fp32; ONNX Runtime rounds to fp16 after each operator, as GPUs do.
    # Where OpenVINO cannot run int8, ONNX Runtime computes the result of other CPUs.
    is_elsewhere = (
        manifest.backend in PLAN_BACKENDS or manifest.precision == "fp16" or (manifest.backend == "openvino" and engine_saturates(manifest))
    )
    return ("onnxruntime" if is_elsewhere else manifest.backend), "cpu"


def has_gpu(backend: str) -> bool:
    """Return whether there is a GPU for a backend of `PLAN_BACKENDS`."""
    try:
        Gpu(backend).close()
    except EdgeHoiError:
        return False
    return True


def _capability_here(backend: str, *, is_needed: bool) -> str:
    try:
        with closing(Gpu(backend)) as gpu:
            return gpu.compute_capability
    except EngineError as error:
        if is_needed:
            raise
        raise EngineError(
            "there is no GPU here to compile for; name the compute capability of the engine's GPU, such as "
            "--compute-capability 8.6 (nvidia-smi --query-gpu=compute_cap --format=csv prints it)"
        ) from error
