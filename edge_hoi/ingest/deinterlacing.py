"""Turn interlaced frames into progressive ones, with FFmpeg's filter bwdif (https://ffmpeg.org/ffmpeg-filters.html#bwdif)."""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import av
from av.filter import Graph

from edge_hoi.config_types import Deinterlace
from edge_hoi.ingest.decoding import DecodedFrame

_MIN_WIDTH, _MIN_HEIGHT = 3, 4  # of each plane, for bwdif; smaller frames stay as they are


def deinterlaced(frames: Iterator[DecodedFrame], deinterlace: Deinterlace) -> Iterator[DecodedFrame]:
    """Yield as many frames as come, with their times, each as soon as the frame after it is known.

    Progressive frames are the same images; until the first interlaced one comes, they wait for nothing.

    Args:
        frames: From the decoder.
        deinterlace: `auto` for the frames that the stream marks as interlaced, `on` for all, `off` for none.
    """
    filtering: _Filtering | None = None
    for decoded in frames:
        if filtering is not None and not filtering.accepts(decoded.frame):
            yield from filtering.end()
            filtering = None
        is_large = all(plane.width >= _MIN_WIDTH and plane.height >= _MIN_HEIGHT for plane in decoded.frame.planes)
        if filtering is None and is_large and (deinterlace == "on" or (deinterlace == "auto" and decoded.frame.interlaced_frame)):
            filtering = _Filtering(decoded.frame, is_for_all=deinterlace == "on")
        if filtering is None:
            yield decoded
        else:
            yield from filtering.add(decoded)
    if filtering is not None:
        yield from filtering.end()


class _Filtering:
    """A filter for frames of one format and size, which gives a frame for each, in order."""

    def __init__(self, frame: av.VideoFrame, *, is_for_all: bool) -> None:
        self._kind = _kind_of(frame)
        self._waiting: deque[DecodedFrame] = deque()
        self._graph = Graph()
        self._graph.threads = 1  # other sources use the other cores
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1)
        )
        bwdif = self._graph.add("bwdif", f"mode=send_frame:deint={'all' if is_for_all else 'interlaced'}")
        source.link_to(bwdif)
        bwdif.link_to(self._graph.add("buffersink"))
        self._graph.configure()

    def accepts(self, frame: av.VideoFrame) -> bool:
        return _kind_of(frame) == self._kind

    def add(self, decoded: DecodedFrame) -> Iterator[DecodedFrame]:
        self._waiting.append(decoded)
        self._graph.vpush(decoded.frame)
        return self._finished()

    def end(self) -> Iterator[DecodedFrame]:
        self._graph.vpush(None)
        return self._finished()

    def _finished(self) -> Iterator[DecodedFrame]:
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                frame = self._graph.vpull()
                yield replace(self._waiting.popleft(), frame=frame)


def _kind_of(frame: av.VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height
