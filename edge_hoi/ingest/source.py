"""What every source of frames is: the protocol, what it tells about itself, and how it stamps its frames."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import Self

from edge_hoi.ingest.clock import CaptureClock, RateLimit
from edge_hoi.types import Frame, Image


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source says about itself when it is opened.

    Attributes:
        source_id: Name of the source (a camera's name).
        masked_url: Where it comes from, without secrets.
        width: Width in pixels of its first frame, as it is shown (after rotation).
        height: Height in pixels of its first frame.
        fps: Nominal frames per second; None where there is none.
        is_live: Whether frames arrive as they are captured, and are lost if not taken.
        duration_seconds: Length as declared; None for live sources and where unknown.
        frame_count: Number of frames as declared; None where unknown.
    """

    source_id: str
    masked_url: str
    width: int
    height: int
    fps: float | None
    is_live: bool
    duration_seconds: float | None
    frame_count: int | None


@dataclass(slots=True)
class SourceTally:
    """What has come out of a source so far.

    Attributes:
        frames_decoded: Frames decoded, those skipped for a target rate included.
        frames_corrupt: Those of them that are damaged, or rest on a damaged one.
        decode_errors: Pieces that could not be decoded at all.
        is_truncated: A recording ended before its declared end.
    """

    frames_decoded: int = 0
    frames_corrupt: int = 0
    decode_errors: int = 0
    is_truncated: bool = False

    def __add__(self, other: "SourceTally") -> "SourceTally":
        return SourceTally(
            self.frames_decoded + other.frames_decoded,
            self.frames_corrupt + other.frames_corrupt,
            self.decode_errors + other.decode_errors,
            self.is_truncated or other.is_truncated,
        )


class Source(Protocol):
    """Gives frames in order; a context manager, to be iterated once.

    Iterating raises `SourceError` when a stream fails. A recording that ends early just ends, with `tally.is_truncated` set.
    """

    info: SourceInfo
    tally: SourceTally

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames that are to be processed."""
        ...

    def close(self) -> None:
        """Let go of the file or the connection; no more frames come."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class FrameStamp:
    """Numbers the frames of one source and gives those that are to be processed their times."""

    def __init__(self, source_id: str, capture_clock: CaptureClock, target_fps: float | None) -> None:
        """Start before the first frame.

        Args:
            source_id: Name of the source.
            capture_clock: Where capture times come from.
            target_fps: At most so many frames per second are taken; None for all.
        """
        self._source_id = source_id
        self._capture_clock = capture_clock
        self._rate_limit = RateLimit(target_fps)
        self._index = -1

    def count(self, pts_seconds: float) -> bool:
        """Count a decoded frame, and tell whether it is to be taken."""
        self._index += 1
        return self._rate_limit.takes(pts_seconds)

    def frame(self, image: Image, pts_seconds: float, *, is_corrupt: bool) -> Frame:
        """Make the frame that was counted last."""
        return Frame(
            image=image,
            pts_seconds=pts_seconds,
            captured_at=self._capture_clock.captured_at(pts_seconds),
            clock=self._capture_clock.clock,
            arrived_seconds=time.monotonic(),
            index=self._index,
            source_id=self._source_id,
            is_corrupt=is_corrupt,
        )
