"""Write packets of encoded video to a clip, as they are."""

import io

import av
from pydantic import Field

from edge_hoi.config_types import Section
from edge_hoi.errors import EdgeHoiError
from edge_hoi.media.packet_ring import PacketRing, PacketRun


class ClipSettings(Section):
    """Which part of an episode a video shows."""

    before_seconds: float = Field(
        3.0, ge=0, le=60, description="Before the start of the episode; the video begins at a key frame before that"
    )
    after_seconds: float = Field(2.0, ge=0, le=60, description="After its end; the `ended` event of a live camera waits for them")
    max_seconds: float = Field(30.0, gt=0, le=600, description="Longest part of an episode, from its start")
    max_megabytes: float = Field(64.0, gt=0, description="Most memory for a camera's newest packets, of which the oldest are dropped")

    def make_ring(self) -> PacketRing:
        """Return a ring that holds a whole video when its episode ends."""
        return PacketRing(self.before_seconds + self.max_seconds + self.after_seconds + _KEY_FRAME_SECONDS, round(self.max_megabytes * 1e6))


_KEY_FRAME_SECONDS = 15.0
"""Longer than cameras' intervals of key frames, and than episodes take to end."""
# Fragments play while they are fetched, and need no second pass over the file.
_FRAGMENTED = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}


def mux_clip(run: PacketRun) -> bytes:
    """Return a run of packets as a fragmented MP4 file, which begins with its first packet's frame.

    Raises:
        EdgeHoiError: MP4 cannot hold the codec, or the packets' times.
    """
    file = io.BytesIO()
    try:
        with av.open(io.BytesIO(run.header), format="nut") as described, av.open(file, "w", format="mp4", options=_FRAGMENTED) as container:
            stream = container.add_stream_from_template(described.streams.video[0])
            for encoded, dts in zip(run.packets, _decoding_times(run), strict=True):
                packet = av.Packet(encoded.data)
                packet.pts, packet.dts, packet.duration = encoded.pts - run.packets[0].pts, dts - run.packets[0].pts, encoded.duration
                packet.time_base, packet.is_keyframe, packet.stream = run.time_base, encoded.is_keyframe, stream
                container.mux_one(packet)
    except (av.FFmpegError, ValueError) as error:
        raise EdgeHoiError(f"no clip can be written of this stream ({error}); cameras that send H.264 or H.265 have clips") from error
    return file.getvalue()


def _decoding_times(run: PacketRun) -> list[int]:
    """Return the packets' decoding times; where the container has none, the earliest that fit the order of the packets."""
    known = [packet.dts for packet in run.packets if packet.dts is not None]
    if len(known) == len(run.packets):
        return known
    shown = [packet.pts for packet in run.packets]
    ordered = sorted(shown)
    delay = max(decoded - presented for decoded, presented in zip(ordered, shown, strict=True))
    return [time - delay for time in ordered]
