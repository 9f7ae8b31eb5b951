"""Choose the frames for calibration or for the accuracy gate: as different from each other as possible.

M candidate frames, F values of a thumbnail.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_hoi.detection import Preprocessor
from edge_hoi.detection.preprocess import resize
from edge_hoi.errors import EngineError
from edge_hoi.ingest import Source, SourceKind, open_source, source_kind
from edge_hoi.runtime import InputDescription, choose_input_size
from edge_hoi.types import Frame, Image

_THUMBNAIL = (9, 16)  # rows and columns: enough to distinguish scenes and people's positions
_MIN_FPS = 2.0
_CANDIDATES = 4  # per chosen frame, where a recording has them


class ChosenFrame(NamedTuple):
    """One frame of a set.

    Attributes:
        name: Its source's name and frame number, from 0.
        image: `(h, w, 3)` uint8 RGB, at the engine's input size.
    """

    name: str
    image: Image

    @property
    def sha256(self) -> str:
        """Hash of its pixels."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()


@dataclass(frozen=True)
class FrameSet:
    """Frames like those of the engine's cameras."""

    frames: tuple[ChosenFrame, ...]

    @property
    def sha256(self) -> str:
        """Hash of the frames in their order."""
        return hashlib.sha256("".join(frame.sha256 for frame in self.frames).encode()).hexdigest()

    def spread(self, count: int) -> "FrameSet":
        """Return at most `count` of the frames, evenly spaced."""
        return FrameSet(self.frames[:: -(-len(self.frames) // count)])

    def with_negatives(self, count: int) -> "FrameSet":
        """Append at most `count` negatives of these frames, upside down.

        A fixed camera's frames hardly differ; negatives reveal an engine whose output is constant.
        """
        negatives = (
            ChosenFrame(f"the negative of {frame.name}", np.ascontiguousarray(255 - frame.image[::-1]))
            for frame in self.spread(count).frames
        )
        return FrameSet((*self.frames, *negatives))

    def inputs(self, description: InputDescription) -> Iterator[dict[str, NDArray[np.float32 | np.uint8]]]:
        """Preprocess the frames as in streams; yields the inputs of each, which the next frame of the same size overwrites."""
        preprocessors: dict[tuple[int, int], Preprocessor] = {}
        for frame in self.frames:
            height, width = size = frame.image.shape[:2]
            if size not in preprocessors:
                preprocessors[size] = Preprocessor(description, height=height, width=width)
            yield preprocessors[size]([frame.image])

    def input_list(self, description: InputDescription) -> list[dict[str, NDArray[np.float32 | np.uint8]]]:
        """Return copies of `inputs`."""
        return [{name: array.copy() for name, array in each.items()} for each in self.inputs(description)]


def collect_frames(
    sources: Sequence[str], count: int, description: InputDescription, progress: Callable[[int], None] = lambda _: None
) -> FrameSet:
    """Choose frames of videos, cameras and folders of images by their content; except for cameras, the choice is deterministic.

    Candidates are all images of a folder, at least two frames per second of a video, and the first frames of a camera.

    Args:
        sources: Paths and URLs, as for `open_source`.
        count: Number of frames to choose; fewer if there are no more.
        description: The engine's input.
        progress: Called with the number of candidates so far.

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
                pool.add(ChosenFrame(_name(source, frame), resize(frame.image, height=height, width=width).copy()))
                seen += 1
                progress(seen)
    return FrameSet(pool.chosen())


def farthest_points(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Farthest point sampling of `(M, F)` points, from the one nearest to the mean; return `(count,)` ascending indices.

    Of equally far points the first is chosen.
    """
    distances = np.square(points - points.mean(axis=0)).sum(axis=1)
    chosen = [int(distances.argmin())]
    distances = np.square(points - points[chosen[0]]).sum(axis=1)
    while len(chosen) < count:
        distances[chosen] = -1  # not again, even if all others are equal
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, np.square(points - points[chosen[-1]]).sum(axis=1))
    return np.sort(np.array(chosen, np.int64))


class _Pool:
    """Candidates, reduced to `count` whenever there are twice as many, so that any source fits in memory."""

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
        thumbnails = np.stack([resize(frame.image, height=rows, width=columns).ravel() for frame in self._frames])
        kept = farthest_points(thumbnails.astype(np.float32), self._count)
        self._frames = [self._frames[index] for index in kept]


def _open(url: str, count: int) -> Source:
    """Open a source at a frame rate that gives enough candidates, but not every frame of a long recording."""
    if source_kind(url) in (SourceKind.FOLDER, SourceKind.IMAGE):
        return open_source(url, source_id="frames")
    with open_source(url, source_id="frames") as probe:
        duration = probe.info.duration_seconds
    fps = max(_MIN_FPS, _CANDIDATES * count / duration) if duration else _MIN_FPS
    return open_source(url, source_id="frames", target_fps=fps)


def _name(source: Source, frame: Frame) -> str:
    """Name a frame without its folder or credentials."""
    return f"{source.info.masked_url.rstrip('/').rpartition('/')[2]}#{frame.index}"
