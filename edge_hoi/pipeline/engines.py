"""Engines by name: where they lie, what to know about them, and the one place that opens them, whatever the backend."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.config import cache_folder
from edge_hoi.errors import EngineError, MissingDependencyError, nearest_name
from edge_hoi.pipeline.photo_engine import PHOTO, find_photo_engine, is_photo, photo_detectors
from edge_hoi.runtime import Device, Engine, Manifest, PrecisionHint, open_engine, read_manifest
from edge_hoi.runtime.manifest import MANIFEST_FILE
from edge_hoi.runtime.open import PLAN_BACKENDS, choose_backend
from edge_hoi.runtime.plan import WEIGHTS_FILE
from edge_hoi.runtime.verified_file import verified_copy

if TYPE_CHECKING:
    import torch

TORCH = "torch"
CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
_PACKAGE = Path(__file__).resolve().parent.parent


def engine_homes() -> tuple[Path, ...]:
    """List the folders that engines are looked for in, first match first.

    The installed package's own, and, in a checkout, `engines/` beside the package. Not the current folder, which may be a stranger's.
    """
    return (_PACKAGE / "engines", _PACKAGE.parent / "engines")


def engine_folder(name_or_path: str | Path) -> Path:
    """Find an engine's folder.

    Args:
        name_or_path: A name in one of `engine_homes`, which comes first; a folder with a manifest; or `photo` or `photo-DETECTOR`.

    Raises:
        EngineError: There is none; the message names the nearest known engine, or what to do with a checkpoint.
    """
    if is_photo(name_or_path):
        if folder := find_photo_engine(str(name_or_path)):
            return folder
        raise EngineError(f"engine {name_or_path} is not built here yet, or by another version; run `edge-hoi models pull {name_or_path}`")
    path = Path(name_or_path).expanduser()
    is_name = isinstance(name_or_path, str) and "/" not in name_or_path
    for candidate in (*(home / name_or_path for home in engine_homes() if is_name), path):
        if (candidate / MANIFEST_FILE).is_file():
            return candidate
    if path.is_dir():
        raise EngineError(f"{path} is a folder without {MANIFEST_FILE}, so no engine; build one with `edge-hoi build`")
    if path.suffix in CHECKPOINT_SUFFIXES:
        raise EngineError(f"{path} is a checkpoint, not an engine; run `edge-hoi build {path} --output engines/mine` first")
    here = {found.parent.name for home in engine_homes() for found in home.glob(f"*/{MANIFEST_FILE}")}
    known = sorted(here | {PHOTO, *(model.name for model in photo_detectors())})
    fix = nearest_name(str(name_or_path), known, f"known here: {', '.join(known)}; `edge-hoi build` makes one")
    if ("engines" / path / MANIFEST_FILE).is_file():
        fix = f"did you mean the folder `engines/{path}`?"
    raise EngineError(f"no engine {str(name_or_path)!r}: neither a folder nor a name of this package's engines; {fix}")


def caution_of(manifest: Manifest) -> str | None:
    """Return in one line what a person must know before trusting an engine's output; None if there is nothing."""
    if not manifest.is_trained:
        return f"engine {manifest.name!r} is UNTRAINED: it runs, but its output is meaningless"
    return f"engine {manifest.name!r} {manifest.caution}" if manifest.caution else None


def refuse_demo_engine(manifest: Manifest, source_id: str) -> None:
    """Refuse a live source for an engine that is a demonstration.

    Raises:
        EngineError: It is one.
    """
    if manifest.is_demo:
        raise EngineError(
            f"engine {manifest.name!r} was trained on rendered images only: on the live source {source_id!r} it would report what is not "
            "there; name another with --engine, or try it all the same with --allow-demo-engine (`engine: {allow_demo: true}`)"
        )


def engine_opener(
    folder: Path,
    manifest: Manifest,
    *,
    backend: str | None = None,
    max_batch: int = 1,
    max_requests: int = 1,
    device: Device = "auto",
    precision_hint: PrecisionHint | None = None,
    keeps_plans: bool = True,
    allows_random_weights: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> Callable[[tuple[int, int]], Engine]:
    """Return a function that opens an engine for an input size `(height, width)` in pixels.

    Args:
        folder: The engine's folder.
        manifest: Its manifest.
        backend: Which backend runs it; None for the manifest's. `torch` runs the network eagerly, in fp32.
        max_batch: Most images in one run.
        max_requests: Most runs at the same time; see `open_engine`.
        device: Where it runs.
        precision_hint: See `open_engine`.
        keeps_plans: Keep what TensorRT compiles in the cache folder.
        allows_random_weights: With `torch`, run random weights where the folder has none: for measuring speed.
        note: Called with a message if the engine runs in another precision than it was built in.

    Raises:
        EngineError: The manifest's backend must be named by the user, see `open_engine`; or there is no network for PyTorch.
    """
    name = choose_backend(folder, manifest, backend)
    if name == TORCH and manifest.clip is None:
        raise EngineError(f"engine {manifest.name!r} is a two-stage engine, which PyTorch does not run; omit the backend")
    if name == TORCH:
        return partial(_open_torch, folder, manifest, max_batch, device, allows_random_weights)

    def open_for(size: tuple[int, int]) -> Engine:
        engine = open_engine(
            folder,
            manifest=manifest,
            backend=name,
            input_size=size,
            max_batch=max_batch,
            max_requests=max_requests,
            device=device,
            precision_hint=precision_hint,
            cache_folder=cache_folder() / "plans" if keeps_plans and (name in PLAN_BACKENDS or device == "tensorrt") else None,
        )
        if precision_hint is None and engine.precision != manifest.precision:
            note(
                f"engine {manifest.name!r} was built in {manifest.precision} and runs in {engine.precision} here; "
                "`edge-hoi doctor` says why"
            )
        return engine

    return open_for


def _open_torch(
    folder: Path, manifest: Manifest, max_batch: int, device: Device, allows_random_weights: bool, size: tuple[int, int]
) -> Engine:
    from edge_hoi.runtime.torch_engine import TorchEngine

    exact = manifest.model_copy(update={"precision": "fp32"})
    network = _torch_network(folder, manifest.files.get(WEIGHTS_FILE), allows_random_weights)
    return TorchEngine(network, exact, input_size=size, max_batch=max_batch, device=device)


@cache
def _torch_network(folder: Path, sha256: str | None, allows_random_weights: bool) -> "torch.nn.Module":
    """Load the network that an engine was built from, once per process."""
    try:
        import torch  # noqa: F401 -- only whether it is installed
    except ImportError as error:
        raise MissingDependencyError.of_extra("backend 'torch'", "PyTorch", "build") from error
    from edge_hoi.model import HoiclipConfig, LastLayer, load_checkpoint
    from edge_hoi.model.reference_weights import untrained_checkpoint
    from edge_hoi.vocabulary import load_vocabulary

    if sha256:
        with verified_copy(folder / WEIGHTS_FILE, sha256) as copy:
            return LastLayer(load_checkpoint(copy, of_engine=True).model)
    if not allows_random_weights:
        raise EngineError(f"{folder} has no {WEIGHTS_FILE}, which backend 'torch' runs; build it with `edge-hoi build --backend torch`")
    config = HoiclipConfig.from_json(read_manifest(folder, verify=False).architecture)
    return LastLayer(untrained_checkpoint(config, load_vocabulary("vcoco")).model)  # the vocabulary is no part of the network
