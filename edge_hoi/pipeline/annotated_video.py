"""The annotated video of one camera: its frames with interactions drawn in, and a strip of its open episodes."""

import threading
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from edge_hoi.compat import UTC
from edge_hoi.errors import EdgeHoiError
from edge_hoi.ingest import Mailbox
from edge_hoi.masking import get_logger
from edge_hoi.media import AnnotateSettings, EpisodeLine, PeopleColours, VideoWriter, annotate
from edge_hoi.types import NO_TRACK, EndReason, Event, Frame, Phase, TrackedInteractions

log = get_logger(__name__)

SHOWN_AFTER_END_SECONDS = 1.5
FALLBACK_FPS = 25.0
CLOSE_SECONDS = 3.0
_WAITING_FRAMES = 8


class _Drawing(NamedTuple):
    """What a frame of the video shows."""

    frame: Frame
    tracked: TrackedInteractions
    lines: list[EpisodeLine]
    colours: dict[int, tuple[int, int, int]]


class AnnotatedVideo:
    """Draws and writes one camera's frames, in a thread; opens its file at the first.

    A file has one frame size: frames of another size than the first are left out of the video, not of the events.
    """

    def __init__(self, path: Path, settings: AnnotateSettings, fps: float | None, *, drops: bool) -> None:
        """Open nothing yet.

        Args:
            path: The file.
            settings: What is drawn.
            fps: The nominal frame rate, where known.
            drops: Drop frames that cannot be drawn in time, as of a live camera; otherwise `write` waits.
        """
        self._waiting: Mailbox[_Drawing] = Mailbox("newest" if drops else "lossless", _WAITING_FRAMES)
        self._thread = threading.Thread(target=self._draw_all, name=f"draw-{path.name}", daemon=True)
        self._error: Exception | None = None
        self._until: float | None = None
        self.path = path
        self._settings = settings
        self._fps = fps or FALLBACK_FPS
        self._writer: VideoWriter | None = None
        self._size: tuple[int, int] | None = None
        self._episodes: dict[str, Event] = {}
        self._colours = PeopleColours()

    def write(self, frame: Frame, tracked: TrackedInteractions, events: Iterable[Event]) -> None:
        """Add a frame.

        Args:
            frame: The frame.
            tracked: Its interactions.
            events: The ends that it emitted, and every open episode as of this frame; other episodes have ended.

        Raises:
            Exception: An earlier frame could not be drawn or written, for example because the disk is full.
        """
        if self._error is not None:
            raise self._error
        if self._thread.ident is None:
            self._thread.start()
        given = {event.event_id: event for event in events}
        for event_id, event in self._episodes.items():
            if event.end is None and event_id not in given:  # what tells its end may wait for an image, and then comes between frames
                given[event_id] = event.ended(EndReason.ABSENT, datetime.now(UTC))
        self._episodes |= given
        lines = self._lines(frame.pts_seconds)
        people = {track.track_id for track in tracked.tracks.values() if track.is_human} | {line.track_id for line in lines}
        self._waiting.put(_Drawing(frame, tracked, lines, self._colours.update(people)))

    def request_stop(self) -> None:
        """Take no more frames; `close` then waits for the others for `CLOSE_SECONDS` from now."""
        if self._until is None:
            self._until = time.monotonic() + CLOSE_SECONDS
            self._waiting.close()

    def close(self) -> None:
        """Finish the file; raise the error of a frame that could not be drawn or written."""
        self.request_stop()
        if self._thread.ident is not None and self._until is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))
        if self._waiting.dropped:
            log.warning("%s: %d frames were not drawn, which took too long", self.path, self._waiting.dropped)
        if self._thread.is_alive():
            raise EdgeHoiError(f"{self.path} could not be written to its end within {CLOSE_SECONDS:g} s; its disk may be slow")
        if self._writer is not None:
            self._writer.close()
        if self._error is not None:
            raise self._error

    def _draw_all(self) -> None:
        try:
            while not self._waiting.is_finished:
                drawing = self._waiting.get()
                if drawing is not None:
                    self._draw(drawing)
        except Exception as error:  # the next `write` raises it
            self._error = error
            self._waiting.close(discard=True)

    def _draw(self, drawing: _Drawing) -> None:
        frame = drawing.frame
        image = annotate(frame, drawing.tracked, drawing.lines, self._settings, colours=drawing.colours)
        if self._writer is None:
            self._size = (frame.width, frame.height)
            self._writer = VideoWriter(self.path, image.shape[1], image.shape[0], self._fps)
        if self._size == (frame.width, frame.height):
            self._writer.write(image, frame.pts_seconds)

    def _lines(self, now: float) -> list[EpisodeLine]:
        """Describe the open episodes, the longest first, then those that have just ended."""
        self._episodes = {
            event_id: event
            for event_id, event in self._episodes.items()
            if event.end is None or now - event.end.pts_seconds < SHOWN_AFTER_END_SECONDS
        }
        ordered = sorted(self._episodes.values(), key=lambda event: (event.phase is Phase.ENDED, event.start.pts_seconds, event.event_id))
        return [
            EpisodeLine(
                track_id=event.human.track_id,
                text=describe(event),
                seconds=event.duration_seconds if event.end else max(0.0, now - event.start.pts_seconds),
                score=event.score.now,
                is_open=event.end is None,
                object_id=event.object.track_id if event.object else NO_TRACK,
                interaction=event.text,
            )
            for event in ordered
        ]


def describe(event: Event) -> str:
    """Format an event's interaction with its track ids: "person #3 riding bicycle #5"."""
    text = event.text.replace(event.human.category, f"{event.human.category} #{event.human.track_id}", 1)
    return text if event.object is None else f"{text} #{event.object.track_id}"
