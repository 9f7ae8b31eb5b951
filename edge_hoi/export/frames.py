"""Choose the frames that an engine is calibrated or judged on: as different from each other as a source has them.

M candidate frames, F numbers of a thumbnail.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection import Preprocessor
from edge_hoi.detection.preprocess import shrink
from edge_hoi.errors import EngineError
from edge_hoi.ingest import Source, SourceKind, open_source, source_kind
from edge_hoi.runtime import InputDescription, choose_input_size
from edge_hoi.types import Frame, Image

_THUMBNAIL = (9, 16)  # rows and columns: enough to tell scenes and where people stand in them
_LEAST_FPS = 2.0
_CANDIDATES = 4  # looked at for each frame that is chosen, where a recording has them


class ChosenFrame(NamedTuple):
    """One frame of a set.

    Attributes:
        name: Its source's name and its number there, from 0.
        image: `(h, w, 3)` uint8 RGB, at the engine's input size already.
    """

    name: str
    image: Image

    @property
    def sha256(self) -> str:
        """Hash of its pixels."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()


@dataclass(frozen=True)
class FrameSet:
    """Frames of the kind that an engine will see.

    Attributes:
        frames: The frames.
    """

    frames: tuple[ChosenFrame, ...]

    @property
    def sha256(self) -> str:
        """Hash of the frames in their order."""
        return hashlib.sha256("".join(frame.sha256 for frame in self.frames).encode()).hexdigest()

    def spread(self, count: int) -> "FrameSet":
        """Give at most so many of the frames, evenly from first to last."""
        return FrameSet(self.frames[:: -(-len(self.frames) // count)])

    def with_negatives(self, count: int) -> "FrameSet":
        """Add, after these frames, as many at most that are as unlike them as the same pixels can be: upside down, and negatives.

        A fixed camera's frames hardly differ. By these, an engine that looks is told from one that always gives the same answer.
        """
        unlike = (
            ChosenFrame(f"the negative of {frame.name}", np.ascontiguousarray(255 - frame.image[::-1]))
            for frame in self.spread(count).frames
        )
        return FrameSet((*self.frames, *unlike))

    def inputs(self, description: InputDescription) -> Iterator[dict[str, NDArray[np.float32]]]:
        """Preprocess the frames as streams' frames are.

        Args:
            description: The engine's input.

        Yields:
            The engine's inputs for each frame, overwritten by the next of the same size.
        """
        preprocessors: dict[tuple[int, int], Preprocessor] = {}
        for frame in self.frames:
            height, width = size = frame.image.shape[:2]
            if size not in preprocessors:
                preprocessors[size] = Preprocessor.for_input(description, height=height, width=width)
            yield preprocessors[size]([frame.image])


def collect_frames(
    sources: Sequence[str], count: int, description: InputDescription, progress: Callable[[int], None] = lambda _: None
) -> FrameSet:
    """Choose frames of videos, cameras and folders of pictures, by their content.

    All pictures of a folder are candidates, and at least two frames a second of a video; of a camera, which does not end, the first.

    Args:
        sources: Paths and URLs, as `open_source` takes them.
        count: How many frames to choose; fewer if there are no more.
        description: The engine's input.
        progress: Is told how many candidates there were so far.

    Returns:
        The set; the same sources give the same one, cameras apart.

    Raises:
        SourceError: A source cannot be opened or read.
        EngineError: `count` is below 1.
    """
    if count < 1:
        raise EngineError(f"a set of frames has at least one, got {count}; calibration takes some hundreds")
    pool = _Pool(count)
    seen = 0
    for url in sources:
        with ExitStack() as cleanup:
            source = cleanup.enter_context(_open(url, count))
            limit = _CANDIDATES * count if source.info.is_live else None
            for number, frame in enumerate(source):
                if number == limit:
                    break
                height, width = choose_input_size(frame.width, frame.height, description)
                pool.add(ChosenFrame(_name(source, frame), shrink(frame.image, height=height, width=width).copy()))
                seen += 1
                progress(seen)
    return FrameSet(pool.chosen())


def farthest_points(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Choose points far from each other: the one nearest to the middle first, then always the one farthest from those chosen.

    Args:
        points: `(M, F)`.
        count: How many, at most M.

    Returns:
        `(count,)` their indices, ascending; of equally far points the first is taken.
    """
    distances = np.square(points - points.mean(axis=0)).sum(axis=1)
    chosen = [int(distances.argmin())]
    distances = np.square(points - points[chosen[0]]).sum(axis=1)
    while len(chosen) < count:
        distances[chosen] = -1  # not again, even where all others are the same
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.square(points - points[chosen[-1]]).sum(axis=1))
    return np.sort(np.array(chosen, np.int64))


class _Pool:
    """Candidates, thinned out whenever there are twice as many as are wanted, so that any source fits in memory."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._frames: list[ChosenFrame] = []

    def add(self, frame: ChosenFrame) -> None:
        self._frames.append(frame)
        if len(self._frames) == 2 * self._count:
            self._thin()

    def chosen(self) -> tuple[ChosenFrame, ...]:
        if len(self._frames) > self._count:
            self._thin()
        return tuple(self._frames)

    def _thin(self) -> None:
        rows, columns = _THUMBNAIL
        thumbnails = np.stack([shrink(frame.image, height=rows, width=columns).ravel() for frame in self._frames])
        kept = farthest_points(thumbnails.astype(np.float32), self._count)
        self._frames = [self._frames[index] for index in kept]


def _open(url: str, count: int) -> Source:
    """Open a source so that it gives enough candidates, and not every frame of a long recording."""
    if source_kind(url) in (SourceKind.FOLDER, SourceKind.IMAGE):
        return open_source(url, source_id="frames")
    with open_source(url, source_id="frames") as probe:
        duration = probe.info.duration_seconds
    fps = max(_LEAST_FPS, _CANDIDATES * count / duration) if duration else _LEAST_FPS
    return open_source(url, source_id="frames", target_fps=fps)


def _name(source: Source, frame: Frame) -> str:
    """Name a frame without saying where on this machine, or under which password, it lies."""
    return f"{source.info.masked_url.rstrip('/').rpartition('/')[2]}#{frame.index}"
