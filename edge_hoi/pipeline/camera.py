"""One camera: its reader, tracker, episodes and annotated video, none of which is shared with another camera."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from edge_hoi.events import EpisodeKeeper
from edge_hoi.ingest import ReaderState, SourceReader
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.pipeline.status import CameraStatus, State
from edge_hoi.runtime import Engine
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Event, Frame, Interactions, Phase
from edge_hoi.vocabulary import Vocabulary

AGES_KEPT = 1024
_STATES: dict[ReaderState, State] = {
    ReaderState.CONNECTING: "connecting",
    ReaderState.STREAMING: "streaming",
    ReaderState.BACKOFF: "reconnecting",
    ReaderState.ENDED: "ended",
    ReaderState.FAILED: "failed",
}


class Camera:
    """Turns the interactions of one source's frames, in order, into events, and counts them.

    Attributes:
        source_id: The camera's name.
        reader: Decodes in a thread of its own.
        is_recording: Whether the pipeline waits for its frames.
        vocabulary: What is detected in its frames.
        is_done: Whether no more frames will be taken.
        is_stopped: Whether the run ended before the source did.
    """

    def __init__(
        self,
        *,
        source_id: str,
        reader: SourceReader,
        is_recording: bool,
        vocabulary: Vocabulary,
        tracker: Tracker,
        make_keeper: Callable[[Engine], EpisodeKeeper],
        make_video: Callable[[float | None], AnnotatedVideo] | None,
        lost_after_seconds: float,
        max_frames: int | None,
    ) -> None:
        """Put the parts together.

        Args:
            source_id: The camera's name.
            reader: Decodes in a thread of its own; started by the pipeline.
            is_recording: Whether the pipeline waits for its frames.
            vocabulary: What is detected in its frames.
            tracker: Its own tracker.
            make_keeper: Makes its episode keeper once its engine is known.
            make_video: Makes its annotated video once its frame rate is known; None for none.
            lost_after_seconds: Episodes of a disconnected live source end after this long without frames.
            max_frames: Take no more frames than this; None for all.
        """
        self.source_id = source_id
        self.reader = reader
        self.is_recording = is_recording
        self.vocabulary = vocabulary
        self._failure: Exception | None = None
        self.is_done = False
        self.is_stopped = False
        self._tracker = tracker
        self._make_keeper = make_keeper
        self._keeper: EpisodeKeeper | None = None
        self._make_video = make_video
        self._video: AnnotatedVideo | None = None
        self._lost_after_seconds = lost_after_seconds
        self._max_frames = max_frames
        self._frames = 0
        self._events = 0
        self._running: set[str] = set()
        self._ages: deque[float] = deque(maxlen=AGES_KEPT)
        self._position = 0.0
        self._first_seconds = self._last_seconds = 0.0

    def process(self, frame: Frame, interactions: Interactions, engine: Engine, stages: StageTimer) -> list[Event]:
        """Process one frame and its interactions.

        Args:
            frame: The frame.
            interactions: Detected in it.
            engine: What detected them.
            stages: Collects the wall time of each stage.

        Returns:
            The events that it emits.
        """
        if self._keeper is None:
            self._keeper = self._make_keeper(engine)
            self._first_seconds = time.monotonic()
        with stages.measure("track"):
            tracked = self._tracker.update(frame, interactions)
        with stages.measure("events"):
            events = self._count(self._keeper.update(frame, tracked))
        if self._make_video is not None:
            with stages.measure("annotate"):
                if self._video is None:
                    self._video = self._make_video(self.reader.info.fps if self.reader.info else None)
                self._video.write(frame, tracked, events)
        self._frames += 1
        self._position = frame.pts_seconds
        self._last_seconds = time.monotonic()
        self._ages.append(self._last_seconds - frame.arrived_seconds)
        self.is_done = self._frames == self._max_frames
        return events

    def end_if_lost(self) -> list[Event]:
        """End the episodes of a live source that has been disconnected for longer than their patience.

        Returns:
            The events; none while it streams.
        """
        is_lost = (
            self._running
            and self.reader.state is not ReaderState.STREAMING
            and time.monotonic() - self._last_seconds > self._lost_after_seconds
        )
        return self.end_episodes(EndReason.SOURCE_LOST) if is_lost else []

    def end_episodes(self, reason: EndReason) -> list[Event]:
        """End all open episodes."""
        return self._count(self._keeper.close(reason)) if self._keeper else []

    def fail(self, error: Exception | None) -> None:
        """Take no more frames, because of an error of this camera alone."""
        self._failure = error or RuntimeError("unknown failure")
        self.is_done = True

    @property
    def failure(self) -> Exception | None:
        """What made it fail: its own error, or its source's that no retry can fix; None if nothing did."""
        if self._failure is None and self.reader.state is ReaderState.FAILED:
            return self.reader.error
        return self._failure

    @property
    def is_out_of_reach(self) -> bool:
        """Whether it was never opened."""
        return self.reader.info is None and self.reader.state in (ReaderState.BACKOFF, ReaderState.FAILED)

    def close(self) -> None:
        """Finish the annotated video."""
        if self._video is not None:
            self._video.close()

    def status(self) -> CameraStatus:
        """Report its status."""
        info, tally = self.reader.info, self.reader.tally
        elapsed = self._last_seconds - self._first_seconds
        ages = None
        if self._ages and info is not None and info.is_live:
            median, p95 = np.percentile(self._ages, [50, 95])
            ages = (float(median), float(p95))
        return CameraStatus(
            source_id=self.source_id,
            state=self._state(),
            frames=self._frames,
            skipped=self.reader.mailbox.dropped,
            corrupt=tally.frames_corrupt,
            fps=(self._frames - 1) / elapsed if elapsed > 0 else 0.0,
            age_seconds=ages,
            position_seconds=self._position,
            duration_seconds=info.duration_seconds if info else None,
            events=self._events,
            running=len(self._running),
            reconnections=self.reader.reconnections,
            error=self._describe_error(),
        )

    def _state(self) -> State:
        if self._failure is not None:
            return "failed"
        if self.is_done and self.reader.state is not ReaderState.FAILED:
            return "ended"
        return "stopped" if self.is_stopped else _STATES[self.reader.state]

    def _describe_error(self) -> str | None:
        error = self._failure or self.reader.error  # the reader's also during an outage that may yet pass
        if error is not None:
            return str(error) or type(error).__name__
        return "ended early: the file is truncated" if self.reader.tally.is_truncated else None

    def _count(self, events: list[Event]) -> list[Event]:
        self._events += len(events)
        for event in events:
            if event.phase is Phase.STARTED:
                self._running.add(event.event_id)
            elif event.phase is Phase.ENDED:
                self._running.discard(event.event_id)
        return events
