"""Choose the stream of video to decode, and read what a container declares of it."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeGuard

import av
from av.container import InputContainer
from av.stream import Discard, Disposition

from edge_hoi.ingest.connection import Connection
from edge_hoi.ingest.ffmpeg_options import FAULTY_CODECS
from edge_hoi.ingest.source_errors import source_error
from edge_hoi.masking import get_logger

_logger = get_logger(__name__)

_MAX_FPS = 240  # FFmpeg guesses rates such as 90000 for streams that declare none


def video_stream(container: InputContainer, connection: Connection, source_id: str) -> av.VideoStream:
    """Return the video stream to decode, the one that fits best if there are several; which the log says once for some time.

    Raises:
        SourceError: `not_video`, there is none; `unsupported`, there is no decoder for it; `refused`, its frames are too large;
            `not_found`, there is none of this number.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    known = [stream for stream in streams if _is_video(stream)]
    if connection.video_stream is not None:
        if connection.video_stream >= len(known):
            cause = f"it has {len(known)} video streams, none with number {connection.video_stream}"
            raise source_error(connection.url, connection.kind, "not_found", cause, "set video_stream to one of them, from 0")
        stream = known[connection.video_stream]
    elif known:
        stream = _best_fit(known, connection.least_size)
    elif streams:
        raise source_error(connection.url, connection.kind, "unsupported", "there is no decoder for its video")
    else:
        cause = "it contains no video" + (" but a cover" if container.streams.video else "")
        raise source_error(connection.url, connection.kind, "not_video", cause)
    if len(known) > 1 and connection.video_stream is None:
        _note_choice(source_id, known.index(stream), tuple((each.codec_context.width, each.codec_context.height) for each in known))
    for other in container.streams:
        other.discard = Discard.default if other.type != "video" or other is stream else Discard.all
    context = stream.codec_context
    if context.name in FAULTY_CODECS:
        cause, fix = f"this FFmpeg's decoder of {context.name} is not safe", "use Python 3.11 or later, or convert it to H.264"
        raise source_error(connection.url, connection.kind, "unsupported", cause, fix)
    if context.width * context.height > connection.max_pixels:
        cause = f"its frames have {context.width}x{context.height} pixels, more than max_pixels={connection.max_pixels}"
        raise source_error(connection.url, connection.kind, "refused", cause, "raise max_pixels, or make it smaller")
    context.options = {"max_pixels": str(connection.max_pixels)}
    if context.name == "mjpeg":
        context.options |= {"err_detect": "explode"}  # else what is missing of an image is green
    return stream


def _is_video(stream: object) -> TypeGuard[av.VideoStream]:
    return isinstance(stream, av.VideoStream) and stream.codec_context is not None


def _best_fit(streams: Sequence[av.VideoStream], least_size: tuple[int, int] | None) -> av.VideoStream:
    """Return the smallest stream of at least this size, or the largest."""

    def pixels(stream: av.VideoStream) -> int:
        return stream.codec_context.width * stream.codec_context.height

    enough = [
        stream
        for stream in streams
        if least_size and stream.codec_context.width >= least_size[0] and stream.codec_context.height >= least_size[1]
    ]
    return min(enough, key=pixels) if enough else max(streams, key=pixels)


@lru_cache(100)
def _note_choice(source_id: str, number: int, sizes: tuple[tuple[int, int], ...]) -> None:
    named = ", ".join(f"{index}: {width}x{height}" for index, (width, height) in enumerate(sizes))
    _logger.warning("%s: it has several video streams (%s); number %d is used, `video_stream` chooses", source_id, named, number)


def nominal_rate(stream: av.VideoStream) -> Fraction | None:
    """Return the frames per second that a stream declares or FFmpeg guesses; None if that is not plausible."""
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate and 0 < rate <= _MAX_FPS else None


def declared_seconds(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Return the declared length of a recording's video, or of its container; None where there is none."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base
