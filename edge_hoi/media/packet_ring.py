"""The newest encoded packets of a camera, from which clips are cut without encoding anything again."""

import threading
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

from edge_hoi.types import EncodedPacket, PacketListener

_ROUNDING_SECONDS = 0.001
_JUMP_SECONDS = 1.0  # of media time against stream time, after which packets are not one clip any more


@dataclass(frozen=True, slots=True)
class PacketRun:
    """Packets of one stream, from a key frame on.

    Attributes:
        header: Describes the stream: a NUT file with one packet.
        time_base: Seconds of a unit of the packets' times.
        packets: In the order of decoding.
        start_seconds: Media time of the first one.
    """

    header: bytes
    time_base: Fraction
    packets: tuple[EncodedPacket, ...]
    start_seconds: float


@dataclass(slots=True)
class _Segment:
    """Packets of one stream, all of whose times are media times plus one offset; None until the first frame is decoded."""

    header: bytes
    time_base: Fraction
    offset: float | None = None
    packets: deque[EncodedPacket] = field(default_factory=deque)

    def seconds(self, packet: EncodedPacket) -> float:
        """Return a packet's media time."""
        return float(packet.pts * self.time_base) - (self.offset or 0.0)


class PacketRing(PacketListener):
    """Keeps packets for some seconds, and in some memory. One thread adds, another cuts."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._segments: deque[_Segment] = deque()
        self._bytes = 0
        self._noted: Fraction | None = None
        self._lock = threading.Lock()

    def begin(self, header: bytes, time_base: Fraction) -> None:
        """Begin a new stream; see `PacketListener`."""
        with self._lock:
            self._append(_Segment(header, time_base))

    def add(self, packet: EncodedPacket) -> None:
        """Add the next packet, and drop the oldest ones."""
        with self._lock:
            newest = self._segments[-1]
            newest.packets.append(packet)
            self._bytes += len(packet.data)
            while self._is_full(newest, packet):
                oldest = self._segments[0]
                self._bytes -= len(oldest.packets.popleft().data)
                if not oldest.packets:
                    self._segments.popleft()

    def note(self, stream_seconds: Fraction) -> None:
        """Note a frame's stream time; see `PacketListener`."""
        self._noted = stream_seconds

    def align(self, pts_seconds: float) -> None:
        """Set the media time of that frame; where it jumps against the stream's, begin a new segment."""
        if self._noted is None:
            return
        offset, self._noted = float(self._noted) - pts_seconds, None
        with self._lock:
            newest = self._segments[-1]
            if newest.offset is not None and abs(offset - newest.offset) > _JUMP_SECONDS:
                self._append(_Segment(newest.header, newest.time_base))
            newest = self._segments[-1]
            newest.offset = offset

    def cut(self, begin_seconds: float, end_seconds: float) -> PacketRun | None:
        """Return the packets of a span of media time, from the last key frame that is not after its begin on.

        Args:
            begin_seconds: Where the ring or the stream begins later, the run does so, too.
            end_seconds: Packets after this are left out, those of other streams as well.

        Returns:
            None where there is no packet.
        """
        with self._lock:
            for segment in self._segments:
                run = _cut(segment, begin_seconds, end_seconds) if segment.offset is not None else None
                if run is not None:
                    return run
        return None

    def _append(self, segment: _Segment) -> None:
        if self._segments and not self._segments[-1].packets:
            self._segments.pop()
        self._segments.append(segment)

    def _is_full(self, newest: _Segment, packet: EncodedPacket) -> bool:
        oldest = self._segments[0]
        if oldest is newest and len(newest.packets) <= 1:
            return False
        seconds = 0.0 if oldest.offset is None or newest.offset is None else newest.seconds(packet) - oldest.seconds(oldest.packets[0])
        return self._bytes > self._max_bytes or seconds > self._seconds


def _cut(segment: _Segment, begin_seconds: float, end_seconds: float) -> PacketRun | None:
    packets = list(segment.packets)
    begin_seconds, end_seconds = begin_seconds + _ROUNDING_SECONDS, end_seconds + _ROUNDING_SECONDS
    keyframes = [number for number, packet in enumerate(packets) if packet.is_keyframe and segment.seconds(packet) <= end_seconds]
    before = [number for number in keyframes if segment.seconds(packets[number]) <= begin_seconds]
    if not keyframes or segment.seconds(max(packets, key=lambda packet: packet.pts)) < begin_seconds:
        return None
    first = before[-1] if before else keyframes[0]
    start = packets[first].pts
    # Frames that are shown before the key frame need frames before it. What is left out at the end may lie before a frame that is not:
    # whether it has come already depends on how far ahead the source is read.
    chosen = [packet for packet in packets[first:] if packet.pts >= start]
    last = max(number for number, packet in enumerate(chosen) if segment.seconds(packet) <= end_seconds)
    return PacketRun(segment.header, segment.time_base, tuple(chosen[: last + 1]), segment.seconds(packets[first]))
