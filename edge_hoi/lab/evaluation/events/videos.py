"""Run videos one after the other, each as `edge-hoi run` would, and collect their events."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from edge_hoi.config import RunConfig, SourceConfig
from edge_hoi.errors import SourceError
from edge_hoi.events.cloudevents import render
from edge_hoi.pipeline.build import Note, build_pipeline
from edge_hoi.pipeline.status import CameraStatus
from edge_hoi.types import Event

REPORT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class VideoRun:
    """The file, CloudEvents in order, and final status of one video's run."""

    video: Path
    events: list[dict[str, Any]]
    status: CameraStatus


def run_videos(
    videos: Sequence[Path], config: RunConfig, *, note: Note, progress: Callable[[Path, float], None] = lambda _video, _seconds: None
) -> Iterator[VideoRun]:
    """Run each video through its own pipeline, to its end.

    Args:
        videos: Their files.
        config: The configuration; its sources, sinks, annotated video and frame limit are ignored.
        note: Called once with each note for the user.
        progress: Called with the current video and the media time reached.

    Yields:
        One for each.

    Raises:
        ConfigError: A vocabulary cannot be used.
        EngineError: The engine is missing, damaged, fails, or does not fit the vocabulary.
        SourceError: A video cannot be read to its end.
    """
    once = cache(note)
    for video in videos:
        changes = {"sources": (SourceConfig(url=str(video)),), "sinks": (), "annotate": None, "max_frames": None}
        listener = _Listener(partial(progress, video))
        (status,) = build_pipeline(config.model_copy(update=changes), note=once).run(threading.Event(), listener)
        if status.error:
            raise SourceError(f"{video}: {status.error}", code="corrupt", is_retryable=False)
        yield VideoRun(video, [render(event) for event in listener.events], status)


class _Listener:
    """Collects a run's events."""

    def __init__(self, progress: Callable[[float], None]) -> None:
        self.events: list[Event] = []
        self._progress = progress
        self._next_seconds = 0.0

    def show_events(self, events: Sequence[Event]) -> None:
        self.events += events

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        self._progress(statuses[0].position_seconds)
        self._next_seconds = time.monotonic() + REPORT_SECONDS

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next_seconds
