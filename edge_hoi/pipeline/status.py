"""What can be said of a camera at any moment, for the progress line and the closing table."""

from dataclasses import dataclass
from typing import Literal

State = Literal["connecting", "streaming", "reconnecting", "ended", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera's figures, as of now.

    Attributes:
        source_id: The camera's name.
        state: `reconnecting` while a lost camera is retried; `stopped` before its end; `failed` with an `error`.
        frames: Frames looked at.
        skipped: Frames of a live source that newer ones overtook.
        corrupt: Frames that the decoder reported as damaged.
        fps: Frames looked at a second, since the first of them.
        age_seconds: Of a live source: time from a frame's arrival to its events, median and 95th percentile of the newest.
        position_seconds: Media time of the newest frame.
        duration_seconds: Of a file, where known.
        events: Events made.
        running: Episodes that are running.
        reconnections: How often a live source was found again.
        error: Why it failed, or what was wrong with its end.
    """

    source_id: str
    state: State
    frames: int
    skipped: int
    corrupt: int
    fps: float
    age_seconds: tuple[float, float] | None
    position_seconds: float
    duration_seconds: float | None
    events: int
    running: int
    reconnections: int
    error: str | None
