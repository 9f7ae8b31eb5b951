"""Detectors for images of any size: an engine for each input size and a detector for each vocabulary on it, opened at first use."""

import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache

from edge_hoi.detection import FixedSizeDetector
from edge_hoi.errors import EngineError
from edge_hoi.runtime import Engine, InputDescription, choose_input_size
from edge_hoi.types import DecodedImage, Image
from edge_hoi.vocabulary import Vocabulary

UNUSED_SECONDS = 30.0
"""Engines that no image has needed for this long are closed when another one opens: a camera has changed its aspect ratio."""
MOST_OPEN = 8
"""Of more engines, the least recently used are closed when another one opens: images of many shapes may come within that time."""

_Size = tuple[int, int]


class DetectorPool:
    """Opens one engine per input size, so that every aspect ratio fits without padding; vocabularies share the engines.

    Engines open one after the other, in a thread of their own. Pipelines in several threads may share a pool.
    """

    def __init__(
        self,
        open_engine: Callable[[_Size], Engine],
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
            choose_batch: Chooses how many of them to use when the first engine is opened, while no other works; None for all.
        """
        self.max_batch = max_batch
        """Most images that are good for one run of each engine that is open."""
        self._choose_batch = choose_batch
        self._has_chosen = False
        self._changing = threading.Lock()
        self._opener = ThreadPoolExecutor(1, thread_name_prefix="open-engine")
        self._open = open_engine
        self._make = make_detector
        # Trying all sizes takes a tenth of a small engine's run, and a camera's frames are all of one size.
        self._input_size = cache(lambda width, height: choose_input_size(width, height, description))
        self._engines: dict[_Size, Future[Engine]] = {}
        self._used_at: dict[_Size, float] = {}
        self._detectors: dict[tuple[_Size, int], FixedSizeDetector] = {}

    def detector_for(self, image: Image | DecodedImage, vocabulary: Vocabulary) -> FixedSizeDetector:
        """Find or make the detector whose input has the shape of an image; wait where its engine has to be opened.

        Args:
            image: `(H, W, 3)`, uint8 RGB or as decoded.
            vocabulary: What to detect; one object for each vocabulary, not copies of it.

        Returns:
            A detector whose engine stays open as long as somebody has the detector, unless the pool is closed.

        Raises:
            EngineError: The engine cannot be opened; the next call tries it again.
        """
        height, width = image.shape[:2]
        size = self._input_size(width, height)
        key = (size, id(vocabulary))  # the detector keeps its vocabulary, and so the id, alive
        while True:
            opening = self.begin_to_open(height, width)
            try:
                engine = opening.result()
            except CancelledError:  # by `close`
                continue
            except Exception:
                with self._changing:
                    if self._engines.get(size) is opening:
                        del self._engines[size], self._used_at[size]
                raise
            with self._changing:
                if self._engines.get(size) is not opening:  # closed meanwhile
                    continue
                if key not in self._detectors:
                    self._detectors[key] = self._make(engine, vocabulary)
                return self._detectors[key]

    def begin_to_open(self, height: int, width: int) -> "Future[Engine]":
        """Have the engine for images of a size in pixels opened, unless it is; `detector_for` does not wait once the result is done."""
        size = self._input_size(width, height)
        with self._changing:
            if size not in self._engines:
                self._engines[size] = self._opener.submit(self._open_for, size)
            self._used_at[size] = time.monotonic()
            return self._engines[size]

    def close(self) -> None:
        """Close every engine; one that is needed again is opened again."""
        with self._changing:
            openings = list(self._engines.values())
            for each in (self._engines, self._used_at, self._detectors):
                each.clear()
        _close_each([opening for opening in openings if not opening.cancel()])

    def _open_for(self, size: _Size) -> Engine:
        self._close_unused()
        engine = self._open(size)
        if self._choose_batch is not None:
            try:
                self.max_batch = min(self.max_batch, engine.max_batch if self._has_chosen else self._choose_batch(engine))
            except EngineError:
                engine.close()
                raise
            self._has_chosen = True
        with self._changing:
            if size in self._used_at:
                self._used_at[size] = time.monotonic()  # opening may have taken long
        return engine

    def _close_unused(self) -> None:
        latest = time.monotonic() - UNUSED_SECONDS
        unused: list[Future[Engine]] = []
        with self._changing:
            opened = sorted((size for size, opening in self._engines.items() if opening.done()), key=self._used_at.__getitem__)
            for size in opened:
                if self._used_at[size] >= latest and len(opened) - len(unused) < MOST_OPEN:
                    break
                keys = [key for key in self._detectors if key[0] == size]
                references = {key: weakref.ref(self._detectors.pop(key)) for key in keys}
                held = {key: detector for key, reference in references.items() if (detector := reference()) is not None}
                self._detectors |= held  # somebody may still detect with it
                if not held:
                    unused.append(self._engines.pop(size))
                    del self._used_at[size]
        _close_each(unused)


def _close_each(openings: "list[Future[Engine]]") -> None:
    for opening in openings:
        with suppress(Exception):  # of one that could not be opened, as `detector_for` tells: the others are closed all the same
            opening.result().close()
