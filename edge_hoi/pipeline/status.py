"""A camera's status, for the progress line, the summary table and callers."""

from dataclasses import dataclass
from typing import Literal

State = Literal["connecting", "streaming", "silent", "reconnecting", "waiting", "ended", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera's state and counters at one time.

    Attributes:
        source_id: The camera's name.
        state: `silent` while a camera streams no frame; `reconnecting` while a lost camera is retried, `waiting` while it is retried now
            and then because it refuses; `stopped` before its end, as live cameras always are; `failed` with an `error`.
        frames: Frames processed.
        carried: Those of them in which nothing was detected because nothing had moved; what was seen before went on.
        skipped: Frames of a live source that were dropped in favour of newer ones.
        corrupt: Frames that the decoder reported as damaged.
        unreadable: Images of a folder that could not be read, or packets of video that could not be decoded.
        fps: Frames processed per second, since the first.
        rates: Of a live source: frames processed, and frames that came, per second, of late. The first is less where the engine cannot
            keep up.
        age_seconds: Of a live source: time from a frame's arrival to its events, median and 95th percentile of the newest.
        position_seconds: Media time of the newest frame.
        duration_seconds: Of a file, where known.
        events: Events emitted.
        running: Open episodes.
        reconnections: How often a live source was reconnected.
        crashes: How often its decoding needed too much memory, or its decoding process died.
        is_unverified: Whether its server's certificate is not verified, because `tls_verify` is false.
        decoder: What decodes its video: `cpu`, or a device; None before it is open.
        is_truncated: Whether a file ended before its declared end.
        error: Why it failed, or why it ended early.
    """

    source_id: str
    state: State
    frames: int
    carried: int
    skipped: int
    corrupt: int
    unreadable: int
    fps: float
    rates: tuple[float, float] | None
    age_seconds: tuple[float, float] | None
    position_seconds: float
    duration_seconds: float | None
    events: int
    running: int
    reconnections: int
    crashes: int
    is_unverified: bool
    decoder: str | None
    is_truncated: bool
    error: str | None
