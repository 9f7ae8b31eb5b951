"""Frames of one source with their tracked interactions."""

import contextlib
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

from typing_extensions import Self

from edge_hoi.api.settings import VocabularyLike, note, run_config, source_text
from edge_hoi.ingest import SourceReader
from edge_hoi.pipeline import DetectorBuilder
from edge_hoi.pipeline.build import make_reader
from edge_hoi.pipeline.engines import refuse_demo_engine
from edge_hoi.pipeline.source_names import name_sources
from edge_hoi.pipeline.thresholds import tracker_settings
from edge_hoi.runtime import Device
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import Frame, TrackedInteractions

_POLL_SECONDS = 0.2


class Stream:
    """Iterates a source's frames with their tracked interactions; a context manager.

    A recording is read losslessly; of a live source the newest frame is taken, and it is reconnected.

    Attributes:
        vocabulary: What is detected.
        reader: The source's reader: its state, description and counters.
    """

    def __init__(self, *, threshold: float | None, **options: object) -> None:
        """Open the engine; the source opens at the first frame. See `stream`."""
        config = run_config(None, **options)
        if threshold is not None:  # checked as the configuration's, which it leaves alone: the tracker needs weaker interactions
            threshold = run_config(None, detection={"score_threshold": threshold}).detection.score_threshold
        (settings,) = config.sources
        self._builder = DetectorBuilder(config, note, StageTimer())
        self.reader: SourceReader
        self.reader, is_recording = make_reader(settings, name_sources([(None, settings.url)])[0])
        if not is_recording and not config.engine.allow_demo:
            refuse_demo_engine(self._builder.manifest, self.reader.source_id)
        self.vocabulary = self._builder.vocabulary(config.vocabulary)
        self._threshold = self._builder.shown_threshold if threshold is None else threshold
        self._tracker = Tracker(tracker_settings(config, self._builder.episodes))
        self._stopping = threading.Event()
        self._frames = self._iterate()

    def __iter__(self) -> Iterator[tuple[Frame, TrackedInteractions]]:
        return self._frames

    def __next__(self) -> tuple[Frame, TrackedInteractions]:
        return next(self._frames)

    def _iterate(self) -> Generator[tuple[Frame, TrackedInteractions], None, None]:
        mailbox = self.reader.mailbox
        self.reader.start()
        try:
            while not self._stopping.is_set() and not mailbox.is_finished:
                if (frame := mailbox.get(_POLL_SECONDS)) is None:
                    continue
                (found,) = self._builder.pool.detector_for(frame.pixels, self.vocabulary).detect([frame.pixels])
                tracked = self._tracker.update(frame, found)
                yield frame, tracked.select(tracked.scores >= self._threshold)
            if self.reader.error is not None and not self._stopping.is_set():
                raise self.reader.error
        finally:
            self.reader.stop()
            self._builder.pool.close()

    def stop(self) -> None:
        """End the iteration after the frame at hand; callable from any thread."""
        self._stopping.set()

    def close(self) -> None:
        """Close source and engine; while another thread waits for a frame, that thread closes them when it has it."""
        self.stop()
        with contextlib.suppress(ValueError):  # the generator is running in another thread
            self._frames.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def stream(
    source: str | Path,
    *,
    engine: str | Path | None = None,
    vocabulary: VocabularyLike | None = None,
    device: Device = "auto",
    threshold: float | None = None,
    target_fps: float | None = None,
    allow_demo_engine: bool = False,
) -> Stream:
    """Iterate a source's frames with their interactions, people and objects tracked over time.

    Args:
        source: Video file, folder of images, RTSP or HTTP URL, or device.
        engine: Name of an engine, or its folder; where absent, `default` for the embedded clip, and for others `photo`, which is
            fetched once.
        vocabulary: `hico_det`, `vcoco`, a YAML file, or a list of phrases; the engine's own where absent.
        device: Where the engine runs; see `open_engine`.
        threshold: Least score of the interactions returned, in [0, 1]; the engine's own where absent. Tracking uses weaker ones, too.
        target_fps: Take at most so many frames a second.
        allow_demo_engine: Let an engine that knows rendered images only run on a live source.

    Returns:
        An iterator of `(Frame, TrackedInteractions)`, to be used as a context manager where it may end early.

    Raises:
        ConfigError: A value is not usable.
        DownloadError: The engine is `photo`, and cannot or may not be fetched.
        EngineError: The engine is missing, damaged, fails, or is not meant for live sources.
        SourceError: While iterating: the source cannot be read.
    """
    return Stream(
        threshold=threshold,
        engine={"path": engine and str(engine), "device": device, "allow_demo": allow_demo_engine or None},
        vocabulary=vocabulary,
        sources=[{"url": source_text(source), "target_fps": target_fps}],
    )
