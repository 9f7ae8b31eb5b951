"""Detectors for images of any size: an engine for each input size and a detector for each vocabulary on it, opened at first use."""

import threading
from collections.abc import Callable
from functools import cache

from edge_hoi.detection import FixedSizeDetector
from edge_hoi.runtime import Engine, InputDescription, choose_input_size
from edge_hoi.types import DecodedImage, Image
from edge_hoi.vocabulary import Vocabulary


class DetectorPool:
    """Opens one engine per input size, so that every aspect ratio fits without padding; vocabularies share the engines.

    Pipelines in several threads may share it.
    """

    def __init__(
        self,
        open_engine: Callable[[tuple[int, int]], Engine],
        make_detector: Callable[[Engine, Vocabulary], FixedSizeDetector],
        description: InputDescription,
        *,
        max_batch: int = 1,
        choose_batch: Callable[[Engine], int] | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            open_engine: Opens an engine for `(height, width)` in pixels.
            make_detector: Makes a detector on an engine.
            description: The engine's input, of its manifest.
            max_batch: Most images in one run.
            choose_batch: Chooses how many of them to use when an engine is opened; None for all.
        """
        self.max_batch = max_batch
        """Most images that are good for one run of each engine that is open."""
        self._choose_batch = choose_batch
        self._opening = threading.Lock()
        self._open = open_engine
        self._make = make_detector
        # Trying all sizes takes a tenth of a small engine's run, and a camera's frames are all of one size.
        self._input_size = cache(lambda width, height: choose_input_size(width, height, description))
        self._engines: dict[tuple[int, int], Engine] = {}
        self._detectors: dict[tuple[tuple[int, int], int], FixedSizeDetector] = {}

    def detector_for(self, image: Image | DecodedImage, vocabulary: Vocabulary) -> FixedSizeDetector:
        """Find or make the detector whose input has the shape of an image.

        Args:
            image: `(H, W, 3)`, uint8 RGB or as decoded.
            vocabulary: What to detect; one object for each vocabulary, not copies of it.

        Raises:
            EngineError: The engine cannot be opened.
        """
        height, width = image.shape[:2]
        return self.detector_of_size(height, width, vocabulary)

    def detector_of_size(self, height: int, width: int, vocabulary: Vocabulary) -> FixedSizeDetector:
        """Do as `detector_for`, for images of a size in pixels."""
        size = self._input_size(width, height)
        key = (size, id(vocabulary))  # the detector keeps its vocabulary, and so the id, alive
        with self._opening:
            if key not in self._detectors:
                if size not in self._engines:
                    self._engines[size] = self._open(size)
                    if self._choose_batch is not None:
                        self.max_batch = min(self.max_batch, self._choose_batch(self._engines[size]))
                self._detectors[key] = self._make(self._engines[size], vocabulary)
            return self._detectors[key]

    def close(self) -> None:
        """Close every engine; one that is needed again is opened again."""
        self._detectors.clear()
        while self._engines:
            self._engines.popitem()[1].close()
