"""Find damage that FFmpeg conceals without a flag: lost frames of H.264, and packets of HEVC that give no frame.

H.264: ITU-T H.264, sections 7.3.2.1.1 (sequence parameter set), 7.3.3 (slice header), 7.4.3 (frame_num), 8.2.5.2 (gaps).
HEVC: ITU-T H.265, table 7-1. Slices that break off or have wrong bits are decoded without an error. With `err_detect=explode`, FFmpeg
notices a break where later rows have entry points (wavefronts, as libx265 but hardly a camera makes them), and drops frames for messages
(SEI) that it cannot read, which cameras do make.
"""

from collections.abc import Iterator
from contextlib import suppress

import av

_SLICE, _IDR_SLICE, _SEQUENCE_PARAMETERS = 1, 5, 7
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_CHROMA_444 = 3
_HEVC_SKIPPED = (8, 9)  # leading pictures that depend on what came before the first key frame
_HEVC_PARAMETERS = 32
_HEADER_BYTES = 64
_SEQUENCE_BYTES = 512


class Damage:
    """Knows which frames of a stream are damaged, or depend on damaged ones, which all have until the next key frame."""

    def __init__(self, context: av.VideoCodecContext) -> None:
        """Start before the first packet.

        Args:
            context: The stream's decoder.
        """
        self._context = context
        self._is_damaged = False
        self._since_pts: int | None = None
        self._pending = 0  # packets of HEVC without a frame yet
        self._gaps = _FrameNumbers()
        extradata = context.extradata or b""
        is_avc = context.name == "h264"
        self._length_bytes = 0  # of a NAL unit's length; 0: start codes stand between them
        if extradata[:1] == b"\1" and context.name in ("h264", "hevc"):
            self._length_bytes = 1 + (extradata[4 if is_avc else 21] & 3)
        if is_avc:
            for unit in _parameter_sets(extradata):
                self._gaps.read(unit)

    def examine(self, packet: "av.Packet[av.VideoStream]") -> None:
        """Look at a packet before it is decoded."""
        if packet.is_corrupt or (self._context.name == "h264" and any(map(self._gaps.read, self._units(packet)))):
            self.add(packet)

    def add(self, packet: "av.Packet[av.VideoStream] | None") -> None:
        """Note that a packet is damaged, or depends on what is missing; None for one at the end."""
        if not self._is_damaged:
            self._is_damaged, self._since_pts = True, packet.pts if packet is not None else None

    def covers(self, frame: av.VideoFrame) -> bool:
        """Whether a frame is damaged; to be called for each frame in order."""
        if self._is_damaged and frame.key_frame and not frame.is_corrupt and self._is_later(frame, or_equal=False):
            self._is_damaged = False
        if frame.is_corrupt and not self._is_damaged:
            self._is_damaged, self._since_pts = True, frame.pts
        return frame.is_corrupt or (self._is_damaged and self._is_later(frame, or_equal=True))

    def count_missing(self, packet: "av.Packet[av.VideoStream] | None", frames: int) -> int:
        """Return how many packets turned out to give no frame.

        Args:
            packet: Decoded last; None for the end of the stream.
            frames: How many frames that gave.
        """
        if self._context.name != "hevc":
            return 0
        self._pending += (packet is not None and self._is_picture(packet)) - frames
        missing = max(0, self._pending - (0 if packet is None else self._context.reorder_depth))
        self._pending = max(0, self._pending - missing)
        if missing:
            self.add(packet)
        return missing

    def _is_later(self, frame: av.VideoFrame, *, or_equal: bool) -> bool:
        if frame.pts is None or self._since_pts is None:
            return True
        return frame.pts > self._since_pts or (or_equal and frame.pts == self._since_pts)

    def _is_picture(self, packet: "av.Packet[av.VideoStream]") -> bool:
        kinds = (unit[0] >> 1 & 63 for unit in self._units(packet))
        return next((kind not in _HEVC_SKIPPED for kind in kinds if kind < _HEVC_PARAMETERS), False)

    def _units(self, packet: "av.Packet[av.VideoStream]") -> Iterator[bytes]:
        """Yield the beginnings of a packet's NAL units."""
        data = bytes(packet)
        if self._length_bytes:
            position = 0
            while position + self._length_bytes < len(data):
                start = position + self._length_bytes
                position = start + int.from_bytes(data[position:start], "big")
                yield data[start : min(position, start + _SEQUENCE_BYTES)] or b"\0"
            return
        position = data.find(b"\0\0\1")
        while position >= 0:
            yield data[position + 3 : position + 3 + _SEQUENCE_BYTES] or b"\0"
            position = data.find(b"\0\0\1", position + 3)


class _FrameNumbers:
    """Follows the numbers of the reference frames of H.264."""

    def __init__(self) -> None:
        self._bits = 0  # of a frame number; 0 while it is unknown
        self._has_planes = False
        self._last: int | None = None

    def read(self, unit: bytes) -> bool:
        """Read a NAL unit, and return whether a frame before it is missing."""
        kind = unit[0] & 31
        with suppress(ValueError):  # it is cut off
            if kind == _SEQUENCE_PARAMETERS:
                self._read_parameters(_Bits(unit[4:]), unit[1])
            elif kind in (_SLICE, _IDR_SLICE) and self._bits:
                return self._read_slice(_Bits(unit[1:_HEADER_BYTES]), is_idr=kind == _IDR_SLICE, is_reference=bool(unit[0] & 0x60))
        return False

    def _read_slice(self, bits: "_Bits", *, is_idr: bool, is_reference: bool) -> bool:
        for _ in range(3):  # first macroblock, type, picture parameter set
            bits.exponential()
        number = bits.read(2 * self._has_planes + self._bits) & ((1 << self._bits) - 1)
        expected = (self._last, None if self._last is None else (self._last + 1) % (1 << self._bits))
        is_gap = not is_idr and self._last is not None and number not in expected
        if is_reference or is_gap:
            self._last = number
        return is_gap

    def _read_parameters(self, bits: "_Bits", profile: int) -> None:
        bits.exponential()
        self._has_planes = False
        if profile in _HIGH_PROFILES:
            chroma = bits.exponential()
            self._has_planes = chroma == _CHROMA_444 and bits.read(1) == 1
            bits.exponential()
            bits.exponential()
            bits.read(1)
            if bits.read(1):
                for number in range(12 if chroma == _CHROMA_444 else 8):
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
        size = bits.exponential() + 4
        order = bits.exponential()
        if order == 0:
            bits.exponential()
        elif order == 1:
            bits.read(1)
            for _ in range(2):
                bits.exponential()
            for _ in range(bits.exponential()):
                bits.exponential()
        bits.exponential()
        self._bits = 0 if bits.read(1) else size  # 0: the stream may leave numbers out


class _Bits:
    """Reads bits from the first on."""

    def __init__(self, data: bytes) -> None:
        plain = data.replace(b"\0\0\3", b"\0\0")  # section 7.4.1.1
        self._value, self._left = int.from_bytes(plain, "big"), 8 * len(plain)

    def read(self, count: int) -> int:
        if count > self._left:
            raise ValueError("no more bits")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def exponential(self) -> int:
        """Read an Exp-Golomb code (section 9.1), without a sign."""
        zeros = 0
        while self.read(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        code = self.exponential()
        return (code + 1) // 2 if code % 2 else -code // 2


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    if not bits.read(1):
        return
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _parameter_sets(extradata: bytes) -> Iterator[bytes]:
    """Yield the sequence parameter sets of a decoder's configuration, in either form."""
    if extradata[:1] != b"\1":
        yield from (unit for unit in extradata.split(b"\0\0\1")[1:] if unit)
        return
    position = 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        end = position + 2 + int.from_bytes(extradata[position : position + 2], "big")
        yield extradata[position + 2 : end] or b"\0"
        position = end
