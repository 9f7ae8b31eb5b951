"""Detection for one input size: images in, interactions out."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.classifier import Classifier
from edge_hoi.detection.postprocess import pair_scores, select_interactions
from edge_hoi.detection.preprocess import Preprocessor
from edge_hoi.detection.tiles import Tile, tiles_of
from edge_hoi.errors import EngineError
from edge_hoi.runtime import Engine
from edge_hoi.telemetry import StageTimer
from edge_hoi.types import DecodedImage, Image, Interactions
from edge_hoi.vocabulary import Vocabulary


class _Scored(NamedTuple):
    """An engine's `(Q, N)` scores and `(Q, 4)` boxes of one image."""

    scores: NDArray[np.float32]
    human_boxes: NDArray[np.float32]
    object_boxes: NDArray[np.float32]


class FixedSizeDetector:
    """Combines preprocessing, an engine, a classifier and postprocessing. Threads may share it. Closing the engine is left to its owner."""

    def __init__(
        self,
        engine: Engine,
        classifier: Classifier,
        vocabulary: Vocabulary,
        *,
        score_threshold: float = 0.0,
        max_interactions: int = 100,
        tiles: int = 1,
        timer: StageTimer | None = None,
    ) -> None:
        """Check that the parts match.

        Args:
            engine: An open engine.
            classifier: The classifier of the vocabulary.
            vocabulary: The categories to detect.
            score_threshold: Least score of an interaction, in [0, 1].
            max_interactions: Most interactions per image.
            tiles: With more than 1, `tiles` x `tiles` parts of each image are searched as well, see `edge_hoi.detection.tiles`.
            timer: Collects the times of the stages `preprocess`, `engine` and `postprocess`, per batch.

        Raises:
            EngineError: Engine, classifier and vocabulary do not match.
        """
        embedding_size = engine.manifest.embedding_size
        expected = (len(vocabulary), len(vocabulary.objects) + 1, embedding_size)
        got = (len(classifier.hoi_weight), len(classifier.object_weight), classifier.embedding_size)
        if got != expected:
            raise EngineError(
                f"vocabulary {vocabulary.name!r} on engine {engine.manifest.name!r} needs a classifier of (HOIs, objects, embedding size) "
                f"{expected}, got {got}; make it with for_vocabulary"
            )
        self.vocabulary = vocabulary
        self.engine = engine
        self.classifier = classifier
        self._score_threshold = score_threshold
        self._max_interactions = max_interactions
        self._tiles = tiles_of(tiles)
        self._timer = timer or StageTimer()
        self._of_thread = threading.local()

    def detect(self, images: Sequence[Image | DecodedImage]) -> list[Interactions]:
        """Detect the interactions of images, in batches of up to the engine's `max_batch`.

        Args:
            images: `(H, W, 3)`, uint8 RGB or as decoded, of any sizes; another aspect ratio than the engine's is squeezed.

        Raises:
            EngineError: The engine fails, or returns numbers that are not finite.
        """
        size = max(1, self.engine.max_batch // len(self._tiles))
        return [found for begin in range(0, len(images), size) for found in self._detect_batch(images[begin : begin + size])]

    def embed(self, images: Sequence[Image | DecodedImage]) -> dict[str, NDArray[np.float32]]:
        """Preprocess at most `max_batch` images and return the engine's outputs; raise `EngineError` if it fails."""
        with self._timer.measure("preprocess"):
            inputs = self._preprocessor()(images)
        with self._timer.measure("engine"):
            return self.engine.run(inputs)

    def _preprocessor(self) -> Preprocessor:
        """Return this thread's own, whose result is valid until its next call."""
        if not hasattr(self._of_thread, "preprocessor"):
            height, width = self.engine.input_size
            self._of_thread.preprocessor = Preprocessor(self.engine.manifest.input, height=height, width=width)
        found: Preprocessor = self._of_thread.preprocessor
        return found

    def _detect_batch(self, images: Sequence[Image | DecodedImage]) -> list[Interactions]:
        size, count = self.engine.max_batch, len(self._tiles)
        crops = images if count == 1 else [tile.crop(_pixels(image)) for image in images for tile in self._tiles]
        batches = [self.embed(crops[begin : begin + size]) for begin in range(0, len(crops), size)]
        with self._timer.measure("postprocess"):
            found = [scored for outputs in batches for scored in self._score(outputs)]
            return [self._select(image, found[row * count : (row + 1) * count]) for row, image in enumerate(images)]

    def _score(self, outputs: dict[str, NDArray[np.float32]]) -> list[_Scored]:
        scores = pair_scores(*self.classifier.logits(outputs), self.vocabulary.object_ids, self.engine.manifest.scoring)
        return [_Scored(*each) for each in zip(scores, outputs["human_boxes"], outputs["object_boxes"], strict=True)]

    def _select(self, image: Image | DecodedImage, found: Sequence[_Scored]) -> Interactions:
        """Select the interactions of an image from what was found in each of its tiles."""
        if len(found) > 1:
            found = [_in_frame(tile, each) for tile, each in zip(self._tiles, found, strict=True)]
        scores, humans, objects = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*found, strict=True))
        return select_interactions(
            scores,
            humans,
            objects,
            self.vocabulary,
            width=image.shape[1],
            height=image.shape[0],
            score_threshold=self._score_threshold,
            max_interactions=self._max_interactions,
        )


def _pixels(image: Image | DecodedImage) -> Image:
    return image if isinstance(image, np.ndarray) else image.rgb()


def _in_frame(tile: Tile, found: _Scored) -> _Scored:
    """Convert what was found in a tile to the frame; pairs that the tile cuts off score 0."""
    is_whole = ~(tile.cuts(found.human_boxes) | tile.cuts(found.object_boxes))
    return _Scored(found.scores * is_whole[:, None], tile.to_frame(found.human_boxes), tile.to_frame(found.object_boxes))
