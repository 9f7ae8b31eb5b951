"""Run an engine over a data set's images for a benchmark."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.config import cache_folder
from edge_hoi.detection import FixedSizeDetector, OnnxTextEncoder, cached_text_features, enhancement
from edge_hoi.errors import EngineError
from edge_hoi.lab.datasets import AnnotatedImages
from edge_hoi.lab.datasets.images import read_image, read_image_size
from edge_hoi.lab.evaluation import Benchmark, RawPredictions
from edge_hoi.pipeline.classifiers import load_classifier
from edge_hoi.pipeline.engines import caution_of, engine_opener
from edge_hoi.runtime import Device, Manifest, choose_input_size, read_manifest
from edge_hoi.vocabulary import Vocabulary


def evaluate(
    dataset: AnnotatedImages,
    indices: Sequence[int],
    benchmark: Benchmark,
    folder: Path,
    *,
    max_batch: int = 1,
    device: Device = "auto",
    backend: str | None = None,
    enhanced: int = 0,
    note: Callable[[str], None],
    progress: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Evaluate an engine on images. They are grouped by input size, so that one engine is open at a time.

    Args:
        dataset: Images and annotations.
        indices: Which of them.
        benchmark: Of the data set's vocabulary; gets each image's predictions.
        folder: The engine's folder.
        max_batch: Most images in one run of the engine.
        device: Where it runs.
        backend: What runs it; None for the manifest's.
        enhanced: Categories that training-free enhancement lifts in each image; 0 for none.
        note: Called with notes for the user.
        progress: Called with the number of images just evaluated.

    Returns:
        The engine's manifest.

    Raises:
        EngineError: The engine is missing, damaged, fails, or does not fit the vocabulary.
        DatasetError: An image is missing or damaged.
    """
    manifest = read_manifest(folder)
    if caution := caution_of(manifest):
        note(caution)
    classifier = load_classifier(folder, manifest, dataset.vocabulary, cache=cache_folder() / "text", note=note)
    features = _text_features(dataset.vocabulary, folder, manifest) if enhanced else None
    open_for = engine_opener(folder, manifest, backend=backend, max_batch=max_batch, device=device, note=note)
    for size, of_size in _by_input_size(dataset, indices, manifest).items():
        with open_for(size) as engine:
            detector = FixedSizeDetector(engine, classifier, dataset.vocabulary)
            for begin in range(0, len(of_size), max_batch):
                batch = of_size[begin : begin + max_batch]
                for index, predictions in zip(batch, _predict(detector, dataset, batch, features, enhanced), strict=True):
                    benchmark.update(predictions, dataset.annotation(index))
                progress(len(batch))
    return manifest


def _by_input_size(dataset: AnnotatedImages, indices: Sequence[int], manifest: Manifest) -> dict[tuple[int, int], list[int]]:
    by_size: dict[tuple[int, int], list[int]] = {}
    for index in indices:
        size = choose_input_size(*read_image_size(dataset.image_path(index)), manifest.input)
        by_size.setdefault(size, []).append(index)
    return by_size


def _predict(
    detector: FixedSizeDetector, dataset: AnnotatedImages, indices: Sequence[int], features: NDArray[np.float32] | None, enhanced: int
) -> Iterator[RawPredictions]:
    images = [read_image(dataset.image_path(index)) for index in indices]
    outputs = detector.embed(images)
    hoi_logits, object_logits = detector.classifier.logits(outputs)
    lifts: Any = [None] * len(images)
    if features is not None:
        lifts = enhancement(outputs["image_embedding"], features, top=enhanced)
    for row, image in enumerate(images):
        yield RawPredictions.from_logits(
            outputs["human_boxes"][row],
            outputs["object_boxes"][row],
            hoi_logits[row],
            object_logits[row],
            dataset.vocabulary.object_ids,
            width=image.shape[1],
            height=image.shape[0],
            rule=detector.engine.manifest.scoring,
            enhancement=lifts[row],
        )


def _text_features(vocabulary: Vocabulary, folder: Path, manifest: Manifest) -> NDArray[np.float32]:
    """Return the `(N, E)` text features of the categories, of length 1."""
    if manifest.clip is None:
        raise EngineError(f"training-free enhancement needs CLIP's embedding of the image, which engine {manifest.name!r} does not have")
    prompts = [hoi.prompt for hoi in vocabulary.hois]
    features = cached_text_features(
        list(dict.fromkeys(prompts)),
        clip_model=manifest.clip.model,
        clip_sha256=manifest.clip.weights_sha256,
        cache_folder=cache_folder() / "text",
        encoder=OnnxTextEncoder(folder, manifest) if manifest.text_tower else None,
    )
    rows = np.stack([features[prompt] for prompt in prompts])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)
