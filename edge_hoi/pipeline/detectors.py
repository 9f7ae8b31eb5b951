"""The detectors of a run: one for each vocabulary and input size, opened when the first frame of that shape comes."""

from collections.abc import Callable
from functools import cache

from edge_hoi.detection import Detector
from edge_hoi.runtime import Engine, InputDescription, choose_input_size
from edge_hoi.types import Frame
from edge_hoi.vocabulary import Vocabulary


class EnginePool:
    """Opens one engine per input size, so that every aspect ratio fits without padding, and closes them all."""

    def __init__(self, open_engine: Callable[[tuple[int, int]], Engine], description: InputDescription) -> None:
        """Open nothing yet.

        Args:
            open_engine: Opens an engine for `(height, width)` in pixels.
            description: The input of the engine, as its manifest gives it.
        """
        self._open = open_engine
        # Weighing all sizes takes as long as a tenth of a small engine's run, and a camera's frames are all of one size.
        self._input_size = cache(lambda width, height: choose_input_size(width, height, description))
        self._engines: dict[tuple[int, int], Engine] = {}

    def engine_for(self, frame: Frame) -> Engine:
        """Find or open the engine whose input has the shape of a frame.

        Args:
            frame: A frame of any size.

        Raises:
            EngineError: The engine cannot be opened.
        """
        size = self._input_size(frame.width, frame.height)
        if size not in self._engines:
            self._engines[size] = self._open(size)
        return self._engines[size]

    def close(self) -> None:
        """Close every engine."""
        while self._engines:
            self._engines.popitem()[1].close()


class DetectorPool:
    """The detectors of one vocabulary, one per input size; vocabularies share the engines."""

    def __init__(self, engines: EnginePool, vocabulary: Vocabulary, make_detector: Callable[[Engine], Detector]) -> None:
        """Make nothing yet.

        Args:
            engines: Where engines come from.
            vocabulary: What the detectors look for.
            make_detector: Puts a detector around an engine.
        """
        self.vocabulary = vocabulary
        self._engines = engines
        self._make = make_detector
        self._detectors: dict[tuple[int, int], Detector] = {}

    def detector_for(self, frame: Frame) -> Detector:
        """Find or make the detector whose input has the shape of a frame.

        Args:
            frame: A frame of any size.

        Raises:
            EngineError: The engine cannot be opened.
        """
        engine = self._engines.engine_for(frame)
        if engine.input_size not in self._detectors:
            self._detectors[engine.input_size] = self._make(engine)
        return self._detectors[engine.input_size]

    def close(self) -> None:
        """Close the engines, those of other vocabularies too; an engine that is needed again is opened again."""
        self._detectors.clear()
        self._engines.close()
