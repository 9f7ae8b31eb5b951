"""The protocol of sources of frames, and the numbering and time of their frames."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from typing_extensions import Self

from edge_hoi.ingest.clock import CaptureClock, RateLimit
from edge_hoi.ingest.frame_times import FrameTime
from edge_hoi.types import DecodedImage, Frame, Image


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Properties of an open source.

    Attributes:
        source_id: Name of the source (a camera's name).
        masked_url: Its URL, without secrets.
        width: Width in pixels of its first frame, after rotation.
        height: Height in pixels of its first frame.
        fps: Nominal frames per second; None where there is none.
        is_live: Whether frames arrive as they are captured, and are lost if not read.
        duration_seconds: Declared length; None for live sources and where unknown.
        frame_count: Declared number of frames; None where unknown.
        is_tls_verified: Whether its server's certificate is verified; None without TLS.
        is_finite: Whether it ends by itself, as a file does, and is never opened again, even if it is read as a live source.
        decoder: What decodes its video: `cpu`, or a device.
    """

    source_id: str
    masked_url: str
    width: int
    height: int
    fps: float | None
    is_live: bool
    duration_seconds: float | None
    frame_count: int | None
    is_tls_verified: bool | None = None
    is_finite: bool = False
    decoder: str = "cpu"


@dataclass(slots=True)
class SourceTally:
    """Counts of a source so far.

    Attributes:
        frames_decoded: Decoded frames, including those skipped for a target rate.
        frames_corrupt: Decoded frames that are damaged, or depend on a damaged one.
        decode_errors: Packets that could not be decoded.
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
    """Yields frames in order; a context manager, to be iterated once.

    Iterating raises `SourceError` when a stream fails. A recording that ends early only ends, with `tally.is_truncated` set.
    """

    info: SourceInfo
    tally: SourceTally

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames to process."""
        ...

    def close(self) -> None:
        """Close the file or the connection; no more frames come."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class FrameStamp:
    """Numbers the frames of one source, selects those to process, and sets their times."""

    def __init__(self, source_id: str, capture_clock: CaptureClock, target_fps: float | None) -> None:
        self._source_id = source_id
        self._capture_clock = capture_clock
        self._rate_limit = RateLimit(target_fps)
        self._index = -1

    def count(self, pts_seconds: float) -> bool:
        """Count a decoded frame, and return whether to process it."""
        self._index += 1
        return self._rate_limit.selects(pts_seconds)

    def frame(self, pixels: Image | DecodedImage, times: FrameTime, *, is_corrupt: bool, camera_seconds: float | None = None) -> Frame:
        """Create the frame that was counted last.

        Args:
            pixels: Its image.
            times: Its times.
            is_corrupt: See `Frame`.
            camera_seconds: See `CaptureClock.captured_at`.
        """
        pts_seconds, arrived_seconds, correction = times
        captured_at, clock = self._capture_clock.captured_at(pts_seconds, arrived_seconds=arrived_seconds, camera_seconds=camera_seconds)
        return Frame(
            pixels=pixels,
            pts_seconds=pts_seconds,
            captured_at=captured_at,
            clock=replace(clock, correction=correction) if correction else clock,
            arrived_seconds=arrived_seconds,
            index=self._index,
            source_id=self._source_id,
            is_corrupt=is_corrupt,
        )
