"""Pass the encoded packets of a stream on, and describe the stream for whoever writes them to a file."""

import io
from fractions import Fraction
from typing import TYPE_CHECKING

import av

from edge_hoi.masking import get_logger
from edge_hoi.types import EncodedPacket, PacketListener

if TYPE_CHECKING:
    from av.video.stream import VideoStream


_logger = get_logger(__name__)


class PacketCopier:
    """Gives a listener copies of one stream's packets, from the first key frame on."""

    def __init__(self, stream: "VideoStream", listener: PacketListener, source_id: str) -> None:
        self._source_id = source_id
        self._stream = stream
        self._listener = listener
        self._has_begun = self._is_impossible = False

    def note(self, stream_seconds: Fraction | None) -> None:
        """Tell the listener the time of the frame that comes next, unless that was decoded before the first key frame, or has none."""
        if self._has_begun and stream_seconds is not None:
            self._listener.note(stream_seconds)

    def add(self, packet: "av.Packet[VideoStream]") -> None:
        """Add the next packet; those without a time, such as the one that flushes the decoder, are left out."""
        time_base = self._stream.time_base
        if self._is_impossible or packet.pts is None or time_base is None or not (self._has_begun or packet.is_keyframe):
            return
        copy = EncodedPacket(bytes(packet), packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
        if not self._has_begun:
            try:
                header = _header(self._stream, copy.data, time_base)
            except (av.FFmpegError, ValueError) as error:
                codec = self._stream.codec_context.name
                _logger.warning("%s: its packets (%s) cannot be kept for clips: %s", self._source_id, codec, error)
                self._is_impossible = True
                return
            self._has_begun = True
            self._listener.begin(header, time_base)
        self._listener.add(copy)


def _header(stream: "VideoStream", data: bytes, time_base: Fraction) -> bytes:
    """Describe a stream by a file that stays valid after the stream is closed. NUT changes nothing of a codec's own headers."""
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as container:
        packet = av.Packet(data)
        packet.stream = container.add_stream_from_template(stream)
        packet.pts = packet.dts = 0
        packet.time_base = time_base
        packet.is_keyframe = True
        container.mux_one(packet)
    return file.getvalue()
