"""The images and videos of one camera's episodes, made in a thread of their own and referenced in the events."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, replace

from edge_hoi.errors import EdgeHoiError
from edge_hoi.ingest import Mailbox
from edge_hoi.masking import get_logger
from edge_hoi.media import ClipSettings, MediaStore, PacketRing, SnapshotSettings, mux_clip, rate_snapshot, render_snapshot
from edge_hoi.types import Event, Frame, MediaFile, Phase, TrackedInteractions

_logger = get_logger(__name__)

FINISH_SECONDS = 0.5
"""Longest wait for the last events' media."""
_RECORDING_SECONDS = 10.0
"""Longest wait for each event of a recording, on a disk that hangs."""
_LIVE_SECONDS = 2.0
"""Longest wait of a live camera's event for its image or video, without which it is emitted then."""
_JOBS = 64
_JOBS_OF_RECORDING = 8
"""Fewer, as each may hold a frame, and all frames of a recording wait for room."""
_FRAMES_WAITING = 2
_BETTER = 1.15
"""A frame replaces the best one if its rating is this many times as high: each time it is encoded."""


@dataclass(slots=True)
class _Best:
    """The best image of an episode so far, in the thread that makes them."""

    rating: float = 0.0
    encoded: bytes = b""
    seconds: float = 0.0
    written: MediaFile | None = None
    is_written: bool = True


@dataclass(slots=True)
class _Waiting:
    """An event that is emitted once its image and its video are there."""

    event: Event
    since: float
    snapshot: Future[MediaFile | None] | None = None


@dataclass(slots=True)
class _Episode:
    """The video of an open episode, once it is begun, and the newest reference to its image."""

    clip: Future[MediaFile | None] | None = None
    snapshot: MediaFile | None = None


class EpisodeMedia:
    """Attaches snapshots and clips to events.

    An event waits for its image, and an `ended` one for the seconds of video after its end: that of a recording until it is written,
    that of a live camera for at most two seconds. A failure is logged once in a row, and the events go on without.
    """

    def __init__(
        self,
        store: MediaStore,
        *,
        camera: str,
        snapshots: SnapshotSettings | None,
        clips: ClipSettings | None,
        ring: PacketRing | None,
        is_recording: bool,
    ) -> None:
        """Start the thread.

        Args:
            store: Where files are written.
            camera: Name of the source.
            snapshots: What images show; None for none.
            clips: How long videos are; None for none.
            ring: The source's packets; None without videos.
            is_recording: Wait for everything, so that the events are the same in every run.
        """
        self._store = store
        self._camera = camera
        self._snapshots = snapshots
        self._clips = clips if ring is not None else None
        self._ring = ring
        self._is_recording = is_recording
        self._patience = _RECORDING_SECONDS if is_recording else 0.0
        self._jobs: Mailbox[Callable[[], None]] = Mailbox("lossless", _JOBS_OF_RECORDING if is_recording else _JOBS)
        self._submitted = self._compared = 0  # frames
        self._best: dict[str, _Best] = {}
        self._episodes: dict[str, _Episode] = {}
        self._waiting: list[_Waiting] = []
        self._now = self._position = 0.0
        self._is_failing = False
        self._until: float | None = None
        self._thread = threading.Thread(target=self._work, name=f"media-{camera}", daemon=True)
        self._thread.start()

    def update(self, frame: Frame, tracked: TrackedInteractions, events: Sequence[Event], current: Sequence[Event]) -> list[Event]:
        """Process the next frame.

        Args:
            frame: The frame.
            tracked: Its interactions.
            events: Those that it emitted.
            current: Every open episode as of this frame.

        Returns:
            The events that have what they waited for.
        """
        self._now = self._position = frame.pts_seconds
        self._begin_long_clips(current)
        if self._snapshots is not None and current:
            self._consider(frame, tracked, current, has_to=any(event.phase is Phase.STARTED for event in events))
        return self._take(events)

    def poll(self) -> list[Event]:
        """Return the events that have what they waited for; call it also while no frame comes."""
        return self._released()

    def end(self, events: Sequence[Event], *, is_stopped: bool) -> list[Event]:
        """Take last events, because the source ends or is lost, or the program is stopped, which waits for no recording's media.

        Returns:
            The events that have what they waited for.
        """
        self._now = float("inf")
        if is_stopped:
            self._patience = 0.0
        return self._take(events)

    @property
    def is_waiting(self) -> bool:
        """Whether there are events that wait."""
        return bool(self._waiting)

    def release(self) -> list[Event]:
        """Return all events that wait, with what they have."""
        return self._released(at_once=True)

    def request_stop(self) -> None:
        """Take no more jobs; `close` then waits for those there are for `FINISH_SECONDS` from now."""
        if self._until is None:
            self._until = time.monotonic() + FINISH_SECONDS
            self._jobs.close()

    def close(self) -> None:
        """Stop the thread."""
        self.request_stop()
        if self._until is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))

    def _take(self, events: Sequence[Event]) -> list[Event]:
        for event in events:
            self._episodes.setdefault(event.event_id, _Episode())
            waiting = _Waiting(event, time.monotonic())
            if self._snapshots is not None:
                waiting.snapshot = self._submit(lambda event=event: self._write_snapshot(event))  # type: ignore[misc]
            self._waiting.append(waiting)
        return self._released()

    def _released(self, *, at_once: bool = False) -> list[Event]:
        """Take from those waiting what is ready, each episode's events in order."""
        released: list[Event] = []
        held: set[str] = set()
        left = []
        for waiting in self._waiting:
            event_id = waiting.event.event_id
            if event_id not in held and (self._is_ready(waiting) or at_once):
                released.append(self._attach(waiting))
            else:
                held.add(event_id)
                left.append(waiting)
        self._waiting = left
        return released

    def _is_ready(self, waiting: _Waiting) -> bool:
        futures = [] if waiting.snapshot is None else [waiting.snapshot]
        if self._clips is not None and waiting.event.phase is Phase.ENDED:
            end = waiting.event.last.pts_seconds + self._clips.after_seconds
            episode = self._episodes[waiting.event.event_id]
            if episode.clip is None and self._now >= end:
                episode.clip = self._submit_clip(waiting.event)
                waiting.since = time.monotonic()
            if episode.clip is None:
                return not self._is_recording and time.monotonic() - waiting.since > self._clips.after_seconds + _LIVE_SECONDS
            futures.append(episode.clip)
        wait_for(futures, self._patience)
        return all(future.done() for future in futures) or time.monotonic() - waiting.since > max(_LIVE_SECONDS, self._patience)

    def _attach(self, waiting: _Waiting) -> Event:
        event = waiting.event
        episode = self._episodes[event.event_id]
        episode.snapshot = _result(waiting.snapshot) or episode.snapshot
        if event.phase is Phase.ENDED:
            del self._episodes[event.event_id]
        return replace(event, snapshot=episode.snapshot, clip=_result(episode.clip))

    def _begin_long_clips(self, current: Sequence[Event]) -> None:
        """Write the video of an episode that has lasted as long as a video may, before the ring forgets its start."""
        for event in current:
            episode = self._episodes.setdefault(event.event_id, _Episode())
            if self._clips is not None and episode.clip is None and self._now >= event.start.pts_seconds + self._clips.max_seconds:
                episode.clip = self._submit_clip(event)

    def _submit_clip(self, event: Event) -> Future[MediaFile | None]:
        return self._submit(lambda: self._write_clip(event))

    def _submit(self, make: Callable[[], MediaFile | None]) -> Future[MediaFile | None]:
        future: Future[MediaFile | None] = Future()

        def job() -> None:
            try:
                future.set_result(make())
                self._is_failing = False
            except Exception as error:  # an image or a video is best effort: the event goes on without it
                future.set_result(None)
                self._warn(error)

        if not self._jobs.put(job, self._patience):
            future.set_result(None)
            self._warn(EdgeHoiError("the disk or the processor is too slow"))
        return future

    def _warn(self, error: Exception) -> None:
        if not self._is_failing:
            reason = error if isinstance(error, EdgeHoiError) else f"{type(error).__name__}: {error}"
            _logger.warning("%s: an event has no image or video: %s; events are not affected", self._camera, reason)
        self._is_failing = True

    def _consider(self, frame: Frame, tracked: TrackedInteractions, current: Sequence[Event], *, has_to: bool) -> None:
        """Have a frame compared with the best one of each open episode; a live camera's is dropped if too many wait already."""
        if not self._is_recording and not has_to and self._submitted - self._compared >= _FRAMES_WAITING:
            return

        def job() -> None:
            try:
                for event in current:
                    self._compare(frame, tracked, event)
            except Exception as error:  # as above
                self._warn(error)
            finally:
                self._compared += 1

        self._submitted += self._jobs.put(job, self._patience)

    def _compare(self, frame: Frame, tracked: TrackedInteractions, event: Event) -> None:
        assert self._snapshots is not None
        rating = rate_snapshot(frame, event, tracked)
        best = self._best.setdefault(event.event_id, _Best())
        if rating > _BETTER * best.rating:
            encoded = render_snapshot(frame, event, tracked, self._snapshots)
            best.rating, best.encoded, best.seconds, best.is_written = rating, encoded, frame.pts_seconds, False

    def _write_snapshot(self, event: Event) -> MediaFile | None:
        assert self._snapshots is not None
        best = self._best.get(event.event_id, _Best())
        if event.phase is Phase.ENDED:
            self._best.pop(event.event_id, None)
        if not best.is_written:
            name, media_type = f"{event.event_id}-{event.sequence:08d}", self._snapshots.media_type
            best.written = self._store.write(self._camera, name, best.encoded, media_type=media_type, start_seconds=best.seconds)
            best.is_written = True
        return best.written

    def _write_clip(self, event: Event) -> MediaFile | None:
        assert self._clips is not None
        assert self._ring is not None
        start, last = event.start.pts_seconds, event.last.pts_seconds
        end = min(last + self._clips.after_seconds, start + self._clips.max_seconds, self._position)
        run = self._ring.cut(start - self._clips.before_seconds, end)
        if run is None:
            return None
        name = f"{event.event_id}-{event.sequence:08d}"
        return self._store.write(self._camera, name, mux_clip(run), media_type="video/mp4", start_seconds=run.start_seconds)

    def _work(self) -> None:
        while not self._jobs.is_finished:
            job = self._jobs.get()
            if job is not None:
                job()
            for event_id in self._best.keys() - self._episodes.keys():  # ended, with its last job refused
                del self._best[event_id]


def _result(future: Future[MediaFile | None] | None) -> MediaFile | None:
    return future.result() if future is not None and future.done() else None
