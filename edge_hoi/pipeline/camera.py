"""One camera: its reader, tracker, episodes and annotated video, none of which is shared with another camera."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import numpy as np

from edge_hoi.compat import UTC
from edge_hoi.events import Keeper
from edge_hoi.ingest import ReaderState, SourceReader
from edge_hoi.masking import get_logger, mask
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.pipeline.episode_media import FINISH_SECONDS, EpisodeMedia
from edge_hoi.pipeline.motion import MotionGate
from edge_hoi.pipeline.status import CameraStatus, State
from edge_hoi.runtime import Engine
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Event, Frame, Interactions, Phase, TrackedInteractions
from edge_hoi.vocabulary import Vocabulary

log = get_logger(__name__)

AGES_KEPT = 1024
_COUNTS_KEPT = 128
_STATES: dict[ReaderState, State] = {
    ReaderState.CONNECTING: "connecting",
    ReaderState.STREAMING: "streaming",
    ReaderState.SILENT: "silent",
    ReaderState.BACKOFF: "reconnecting",
    ReaderState.WAITING: "waiting",
    ReaderState.ENDED: "ended",
    ReaderState.STOPPED: "stopped",
    ReaderState.FAILED: "failed",
}


class Camera:
    """Turns the interactions of one source's frames, in order, into events, and counts them.

    Attributes:
        source_id: The camera's name.
        reader: Decodes in a thread of its own.
        is_recording: Whether the pipeline waits for its frames.
        vocabulary: What is detected in its frames.
        priority: Its share of an engine that cannot keep up with all cameras, relative to theirs.
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
        make_keeper: Callable[[Engine], Keeper],
        make_video: Callable[[float | None], AnnotatedVideo] | None,
        lost_after_seconds: float,
        max_frames: int | None,
        priority: float = 1.0,
        gate: MotionGate | None = None,
        make_media: Callable[[], EpisodeMedia] | None = None,
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
            priority: Above 0; see above.
            gate: Selects the frames in which to detect; None for all.
            make_media: Makes what attaches images and videos to its events; None for neither.
        """
        self.source_id = source_id
        self.reader = reader
        self.is_recording = is_recording
        self.vocabulary = vocabulary
        self.priority = priority
        self._gate = gate
        self._failure: Exception | None = None
        self.is_done = False
        self.is_stopped = False
        self._tracker = tracker
        self._tracked: TrackedInteractions | None = None
        self._make_keeper = make_keeper
        self._keeper: Keeper | None = None
        self._make_media = make_media
        self._media: EpisodeMedia | None = None
        self._make_video = make_video
        self._video: AnnotatedVideo | None = None
        self.video_path: Path | None = None
        """The annotated video, once it is complete."""
        self._lost_after_seconds = lost_after_seconds
        self._max_frames = max_frames
        self._frames = 0
        self._carried = 0
        self._events = 0
        self._open: dict[str, Event] = {}
        self._ending: tuple[EndReason, float] | None = None
        """Why its episodes end, and until when their events wait for images and videos."""
        self._ages: deque[float] = deque(maxlen=AGES_KEPT)
        self._counts: deque[tuple[float, int, int]] = deque(maxlen=_COUNTS_KEPT)
        """Time, frames processed and frames skipped, of the newest frames."""
        self._position = 0.0
        self._first_seconds = self._last_seconds = 0.0

    def selects(self, frame: Frame) -> bool:
        """Whether to detect in the next frame."""
        return self._gate is None or self._gate.selects(frame)

    def process(self, frame: Frame, interactions: Interactions | None, engine: Engine, stages: StageTimer) -> list[Event]:
        """Process one frame.

        Args:
            frame: The frame.
            interactions: Detected in it; None where it was not selected: nothing has moved, and those of the frame before go on.
            engine: What detects in its frames.
            stages: Collects the wall time of each stage.

        Returns:
            The events that it emits. Draw the frame once they are delivered.
        """
        if self._keeper is None:
            self._keeper = self._make_keeper(engine)
            self._media = self._make_media() if self._make_media else None
            self._first_seconds = time.monotonic()
        if interactions is not None:
            with stages.measure("track"):
                self._tracked = self._tracker.update(frame, interactions)
        self._carried += interactions is None
        assert self._tracked is not None  # the first frame is selected
        with stages.measure("events"):
            events = self._keeper.update(frame, self._tracked)
            if self._media is not None:
                events = self._media.update(frame, self._tracked, events, self._keeper.current())
            events = self._admit(events)
        self._frames += 1
        self._position = frame.pts_seconds
        self._last_seconds = time.monotonic()
        self._ages.append(self._last_seconds - frame.arrived_seconds)
        self._counts.append((self._last_seconds, self._frames, self.reader.mailbox.dropped))
        self.is_done = self._frames == self._max_frames
        return events

    def draw(self, frame: Frame, events: list[Event], stages: StageTimer) -> None:
        """Add the frame processed last to the annotated video; drawing that fails is given up, and the camera goes on."""
        if self._make_video is None or self._tracked is None or self._keeper is None:
            return
        try:
            with stages.measure("annotate"):
                if self._video is None:
                    self._video = self._make_video(self.reader.info.fps if self.reader.info else None)
                ended = [event for event in events if event.phase is Phase.ENDED]  # a start may come late, after its episode has ended
                self._video.write(frame, self._tracked, [*ended, *self._keeper.current()])
        except Exception as error:  # drawing is best effort: watching must go on
            self._give_up_video(error)

    def end_if_lost(self) -> list[Event]:
        """End the episodes of a live source that has been disconnected for longer than their patience; return events as `poll` does."""
        is_lost = (
            self._open
            and not self.is_recording  # its last frames may wait for the engine long after it was read
            and self._ending is None
            and self.reader.state is not ReaderState.STREAMING
            and time.monotonic() - self._last_seconds > self._lost_after_seconds
        )
        return self.end_episodes(EndReason.SOURCE_LOST) if is_lost else self.poll()

    def end_episodes(self, reason: EndReason) -> list[Event]:
        """End all open episodes; those that the keeper cannot end get their end from their newest event.

        Returns:
            The events; those that wait for an image or a video come from `poll`.
        """
        events: list[Event] = []
        if self._keeper is not None:
            try:
                events = self._keeper.close(reason)
            except Exception:
                log.exception("camera %s: its episodes end as they were last emitted", self.source_id)
        if self._media is not None:
            events = self._media.end(events, is_stopped=self.is_stopped)
        self._ending = reason, time.monotonic() + FINISH_SECONDS
        return self._admit(events) + self._finish()

    def poll(self) -> list[Event]:
        """Return the events that have the image or the video that they waited for, or need not wait any more."""
        return (self._admit(self._media.poll()) if self._media is not None else []) + self._finish()

    def finish_ends(self) -> list[Event]:
        """Return the last events of a source that was lost, and is back, without waiting for more."""
        return self._finish(at_once=True)

    def abandon_episodes(self, reason: EndReason) -> list[Event]:
        """End all open episodes as they were last emitted."""
        self._ending = None
        return self._admit([event.ended(reason, datetime.now(UTC)) for event in self._open.values()])

    def _finish(self, *, at_once: bool = False) -> list[Event]:
        """Return the last events of episodes that end, once they have waited long enough."""
        if self._ending is None:
            return []
        reason, until = self._ending
        if self._media is not None and self._media.is_waiting and not at_once and time.monotonic() < until:
            return []
        events: list[Event] = []
        if self._media is not None:
            try:
                events = self._admit(self._media.release())
            except Exception:
                log.exception("camera %s: its last events have no images and videos", self.source_id)
        return events + self.abandon_episodes(reason)

    def fail(self, error: Exception | None) -> None:
        """Take no more frames, because of an error of this camera alone."""
        self._failure = error or RuntimeError("unknown failure")
        self.is_done = True

    @property
    def is_ending(self) -> bool:
        """Whether events of episodes that end are still to come from `poll`."""
        return self._ending is not None

    @property
    def has_next(self) -> bool:
        """Whether taking its next frame, or learning that there is none, takes no wait."""
        return len(self.reader.mailbox) > 0 or self.reader.mailbox.is_finished

    @property
    def failure(self) -> Exception | None:
        """What made it fail: its own error, or its source's that no retry can fix; None if nothing did."""
        if self._failure is None and self.reader.state is ReaderState.FAILED:
            return self.reader.error
        return self._failure

    @property
    def is_at_end(self) -> bool:
        """Whether its source is a recording that was read to its end."""
        return self.reader.state is ReaderState.ENDED and self.reader.info is not None and not self.reader.info.is_live

    @property
    def is_out_of_reach(self) -> bool:
        """Whether it was never opened."""
        return self.reader.info is None and self.reader.state in (ReaderState.BACKOFF, ReaderState.FAILED)

    def request_stop(self) -> None:
        """Have images and videos finished while other cameras' are, without waiting for them; `close` does."""
        for part in (self._media, self._video):
            if part is not None:
                part.request_stop()

    def close(self) -> None:
        """Finish the annotated video, and stop making images and videos."""
        if self._media is not None:
            self._media.close()
        if self._video is not None:
            try:
                self._video.close()
                self.video_path = self._video.path
            except Exception as error:  # as in `draw`
                self._give_up_video(error)

    def _give_up_video(self, error: Exception) -> None:
        log.warning("%s: the annotated video is given up: %s; events are not affected", self.source_id, error or type(error).__name__)
        video, self._video, self._make_video = self._video, None, None
        if video is not None:
            with suppress(Exception):  # of a file that could not be written
                video.close()

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
            state=self.state,
            frames=self._frames,
            carried=self._carried,
            skipped=self.reader.mailbox.dropped,
            corrupt=tally.frames_corrupt,
            unreadable=tally.decode_errors,
            fps=(self._frames - 1) / elapsed if elapsed > 0 else 0.0,
            rates=self._rates() if info is not None and info.is_live else None,
            age_seconds=ages,
            position_seconds=self._position,
            duration_seconds=info.duration_seconds if info else None,
            events=self._events,
            running=len(self._open),
            reconnections=self.reader.reconnections,
            crashes=self.reader.crashes,
            is_unverified=info is not None and info.is_tls_verified is False,
            decoder=info.decoder if info else None,
            is_truncated=tally.is_truncated,
            error=self._describe_error(),
        )

    def _rates(self) -> tuple[float, float] | None:
        """Return the frames a second of late: those processed, and those that came."""
        if len(self._counts) < 2 or self._counts[-1][0] == self._counts[0][0]:
            return None
        seconds, processed, skipped = (last - first for first, last in zip(self._counts[0], self._counts[-1], strict=True))
        return processed / seconds, (processed + skipped) / seconds

    @property
    def state(self) -> State:
        """Its present state."""
        if self._failure is not None:
            return "failed"
        if self.is_done and self.reader.state is not ReaderState.FAILED:
            return "stopped" if self.reader.info is not None and self.reader.info.is_live else "ended"
        return "stopped" if self.is_stopped else _STATES[self.reader.state]

    def _describe_error(self) -> str | None:
        error = self._failure or self.reader.error  # the reader's also during an outage that may yet pass
        if error is not None:
            return mask(str(error)) or type(error).__name__
        return "ended early: the file is truncated" if self.reader.tally.is_truncated else None

    def _admit(self, events: list[Event]) -> list[Event]:
        """Count events, and drop those of an episode whose `started` was lost in a failure: no sink may see an end without its start."""
        admitted = []
        for event in events:
            if event.phase is not Phase.STARTED and event.event_id not in self._open:
                continue
            if event.phase is Phase.ENDED:
                del self._open[event.event_id]
            else:
                self._open[event.event_id] = event
            admitted.append(event)
        self._events += len(admitted)
        return admitted
