"""Compare an engine with the fp32 engine of the same weights: on frames, and by mean average precision on a data set."""

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_hoi.config import cache_folder
from edge_hoi.errors import EngineError
from edge_hoi.export import Comparison, FrameSet, compare
from edge_hoi.lab.datasets import AnnotatedImages
from edge_hoi.lab.evaluation import open_benchmark
from edge_hoi.lab.evaluation.evaluate import evaluate
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_homes, engine_opener
from edge_hoi.runtime import Device, Manifest, read_manifest
from edge_hoi.runtime.engine import BACKENDS_OF_DEVICE
from edge_hoi.runtime.manifest import MANIFEST_FILE


def find_reference(folder: Path) -> Path:
    """Find the fp32 engine of the same weights, beside an engine or among the known engines.

    Raises:
        EngineError: There is none.
    """
    wanted = read_manifest(folder, verify=False)
    for home in (folder.resolve().parent, *engine_homes()):
        for path in sorted(home.glob(f"*/{MANIFEST_FILE}")):
            found = read_manifest(path.parent, verify=False)
            if found.precision == "fp32" and found.weights_sha256 == wanted.weights_sha256:
                return path.parent
    raise EngineError(
        f"no fp32 engine of the weights of {wanted.name!r} beside it or among this package's engines; build one, or name its checkpoint "
        "with --against"
    )


def verify(
    folder: Path,
    reference: Path,
    frames: FrameSet,
    *,
    backend: str | None = None,
    device: Device = "auto",
    note: Callable[[str], None],
) -> Comparison:
    """Compare an engine with its fp32 reference on frames.

    Args:
        folder: The engine's folder.
        reference: The folder of an fp32 engine of the same weights.
        frames: The frames.
        backend: What runs the engine; None for the manifest's.
        device: Where it runs; the reference runs on the CPU where its backend does.
        note: Called with notes for the user.

    Raises:
        EngineError: The engines have different weights, one cannot be opened, or its outputs are not finite.
    """
    manifest, expected = read_manifest(folder), read_manifest(reference)
    if manifest.weights_sha256 != expected.weights_sha256:
        raise EngineError(f"{reference} was built from other weights than {folder}; compare engines of the same checkpoint")
    if expected.precision != "fp32":
        raise EngineError(f"expected an fp32 engine as reference, got {reference} in {expected.precision}; build one with --precision fp32")
    vocabulary = load_engine_vocabulary(folder, manifest)
    classifier = load_classifier(folder, manifest, vocabulary, cache=cache_folder() / "text", note=note)
    open_reference = engine_opener(reference, expected, device=_reference_device(expected), note=note)
    open_candidate = engine_opener(folder, manifest, backend=backend, device=device, note=note)
    return compare(open_reference, open_candidate, frames, classifier, vocabulary, manifest.scoring)


def precision_loss(
    dataset: AnnotatedImages,
    indices: Sequence[int],
    folder: Path,
    reference: Path,
    *,
    backend: str | None = None,
    device: Device = "auto",
    note: Callable[[str], None],
) -> tuple[float, float]:
    """Measure the mean average precision of an engine and of its fp32 reference, in [0, 1], on images of a data set."""
    values = []
    runs = ((folder, backend, device), (reference, None, _reference_device(read_manifest(reference))))
    for engine, runner, where in runs:
        benchmark = open_benchmark(dataset.vocabulary)
        evaluate(dataset, indices, benchmark, engine, backend=runner, device=where, note=note)
        rows = benchmark.results()[0].metrics
        values.append(next(iter(next(iter(rows.values())).values())))
    return values[0], values[1]


def _reference_device(manifest: Manifest) -> Device:
    return "cpu" if manifest.backend in BACKENDS_OF_DEVICE["cpu"] else "auto"
