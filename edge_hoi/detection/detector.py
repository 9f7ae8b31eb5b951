"""The detector: frames in, interactions out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection.classifier import Classifier
from edge_hoi.detection.postprocess import pair_scores, select_interactions
from edge_hoi.detection.preprocess import Preprocessor
from edge_hoi.errors import EngineError
from edge_hoi.runtime import Engine
from edge_hoi.telemetry import StageTimer
from edge_hoi.types import Frame, Interactions
from edge_hoi.vocabulary import Vocabulary


class Detector:
    """Composes preprocessing, an engine, a classifier and postprocessing.

    Belongs to one thread, as its engine does, and leaves closing that to its owner.

    Attributes:
        engine: What it runs.
        classifier: What scores its embeddings.
        vocabulary: What it looks for.
    """

    def __init__(
        self,
        engine: Engine,
        classifier: Classifier,
        vocabulary: Vocabulary,
        *,
        score_threshold: float = 0.0,
        max_interactions: int = 100,
        clock: StageTimer | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            engine: An open engine.
            classifier: The vocabulary's rows.
            vocabulary: What to look for.
            score_threshold: Least score of an interaction, in [0, 1].
            max_interactions: Most interactions of a frame.
            clock: Takes the times of the stages `preprocess`, `engine` and `postprocess`, per batch.

        Raises:
            EngineError: Engine, classifier and vocabulary do not fit each other.
        """
        embedding_size = engine.manifest.embedding_size
        expected = (len(vocabulary), len(vocabulary.objects) + 1, embedding_size)
        got = (len(classifier.hoi_weight), len(classifier.object_weight), classifier.embedding_size)
        if got != expected:
            raise EngineError(
                f"vocabulary {vocabulary.name!r} on engine {engine.manifest.name!r} needs a classifier of (HOIs, objects, embedding size) "
                f"{expected}, got {got}; make it with for_vocabulary"
            )
        height, width = engine.input_size
        self.vocabulary = vocabulary
        self.engine = engine
        self.classifier = classifier
        self._score_threshold = score_threshold
        self._max_interactions = max_interactions
        self._clock = clock or StageTimer()
        self._preprocess = Preprocessor.for_input(engine.manifest.input, height=height, width=width)

    def detect(self, frames: Sequence[Frame]) -> list[Interactions]:
        """Find the interactions in frames, in batches as large as the engine takes.

        Args:
            frames: Of any size each; an aspect ratio other than the engine's is squeezed into it.

        Returns:
            The interactions of each frame, in order.

        Raises:
            EngineError: The engine fails, or gives numbers that are not finite.
        """
        size = self.engine.max_batch
        return [found for begin in range(0, len(frames), size) for found in self._detect_batch(frames[begin : begin + size])]

    def embed(self, frames: Sequence[Frame]) -> dict[str, NDArray[np.float32]]:
        """Preprocess frames and run the engine, as `detect` does first.

        Args:
            frames: At most the engine's `max_batch`.

        Returns:
            The engine's outputs.

        Raises:
            EngineError: The engine fails.
        """
        with self._clock.measure("preprocess"):
            inputs = self._preprocess([frame.image for frame in frames])
        with self._clock.measure("engine"):
            return self.engine.run(inputs)

    def _detect_batch(self, frames: Sequence[Frame]) -> list[Interactions]:
        outputs = self.embed(frames)
        with self._clock.measure("postprocess"):
            scores = pair_scores(*self.classifier.logits(outputs), self.vocabulary.object_ids)
            return [
                select_interactions(
                    scores[row],
                    outputs["human_boxes"][row],
                    outputs["object_boxes"][row],
                    self.vocabulary,
                    width=frame.width,
                    height=frame.height,
                    score_threshold=self._score_threshold,
                    max_interactions=self._max_interactions,
                )
                for row, frame in enumerate(frames)
            ]
