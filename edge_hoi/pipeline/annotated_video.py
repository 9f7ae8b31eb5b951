"""The annotated video of one camera: its frames with interactions drawn in, and a strip of its open episodes."""

from collections.abc import Iterable
from pathlib import Path

from edge_hoi.media import AnnotateSettings, EpisodeLine, VideoWriter, annotate
from edge_hoi.types import Event, Frame, Phase, TrackedInteractions

SHOWN_AFTER_END_SECONDS = 1.5
FALLBACK_FPS = 25.0


class AnnotatedVideo:
    """Draws and writes one camera's frames; opens its file at the first.

    A file has one frame size: frames of another size than the first are left out of the video, not of the events.
    """

    def __init__(self, path: Path, settings: AnnotateSettings, fps: float | None) -> None:
        """Open nothing yet; `fps` is the nominal frame rate, where known."""
        self._path = path
        self._settings = settings
        self._fps = fps or FALLBACK_FPS
        self._writer: VideoWriter | None = None
        self._size: tuple[int, int] | None = None
        self._episodes: dict[str, Event] = {}

    def write(self, frame: Frame, tracked: TrackedInteractions, events: Iterable[Event]) -> None:
        """Add a frame.

        Args:
            frame: The frame.
            tracked: Its interactions.
            events: Those it emitted.

        Raises:
            EdgeHoiError: The file cannot be written.
        """
        for event in events:
            self._episodes[event.event_id] = event
        image = annotate(frame, tracked, self._lines(frame.pts_seconds), self._settings)
        if self._writer is None:
            self._size = (frame.width, frame.height)
            self._writer = VideoWriter(self._path, image.shape[1], image.shape[0], self._fps)
        if self._size == (frame.width, frame.height):
            self._writer.write(image, frame.pts_seconds)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

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
            )
            for event in ordered
        ]


def describe(event: Event) -> str:
    """Format an event's interaction with its track ids: "person #3 riding bicycle #5"."""
    text = event.text.replace(event.human.category, f"{event.human.category} #{event.human.track_id}", 1)
    return text if event.object is None else f"{text} #{event.object.track_id}"
