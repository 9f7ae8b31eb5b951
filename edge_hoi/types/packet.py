"""`EncodedPacket`: a packet of encoded video, and what follows a stream of them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """A packet of encoded video; times are in units of its stream's time base.

    Attributes:
        data: The encoded bytes.
        pts: Presentation time.
        dts: Decoding time; None where the container has none.
        duration: Its duration; 0 where unknown.
        is_keyframe: Whether decoding can begin with it.
    """

    data: bytes
    pts: int
    dts: int | None
    duration: int
    is_keyframe: bool


class PacketListener(Protocol):
    """Follows the packets of a source, in its reader's thread."""

    def begin(self, header: bytes, time_base: Fraction) -> None:
        """Begin a new stream, whose packets continue no earlier ones.

        Args:
            header: Its description: a NUT file with one packet.
            time_base: Seconds of a unit of its packets' times.
        """

    def add(self, packet: EncodedPacket) -> None:
        """Add the next packet, in the order of decoding."""

    def note(self, stream_seconds: Fraction) -> None:
        """Note the time within its stream of the frame that comes next."""

    def align(self, pts_seconds: float) -> None:
        """Set the media time of the frame noted last, if it was noted since."""
