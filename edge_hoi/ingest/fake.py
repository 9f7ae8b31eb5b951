"""A source without a camera, for tests."""

from collections.abc import Iterator, Sequence

from edge_hoi.errors import SourceError
from edge_hoi.ingest.source import Source, SourceInfo, SourceTally
from edge_hoi.types import Frame


class FakeSource(Source):
    """Yields given frames, then ends or fails."""

    def __init__(self, frames: Sequence[Frame], *, is_live: bool = False, error: SourceError | None = None) -> None:
        """Store the frames.

        Args:
            frames: At least one frame.
            is_live: The value for `info`.
            error: Raised after the last frame.
        """
        first = frames[0]
        self.info = SourceInfo(first.source_id, "fake", first.width, first.height, None, is_live, None, None)
        self.tally = SourceTally()
        self._frames: Sequence[Frame] = frames
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, then raise the given `SourceError`."""
        for frame in self._frames:
            self.tally.frames_decoded += 1
            self.tally.frames_corrupt += frame.is_corrupt
            yield frame
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Yield no more frames."""
        self._frames = ()
