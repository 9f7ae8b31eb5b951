"""Packets are passed on from the first key frame on; a stream that cannot be described costs the clips and nothing else."""

import av
from encoded_video import FPS, SECONDS, make_video, read_into

from edge_hoi.ingest import packets
from edge_hoi.media import PacketRing


def test_a_stream_that_cannot_be_described_is_read_without_clips(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise ValueError("'nut' format does not support this codec")

    monkeypatch.setattr(packets, "_header", refuse)
    ring = PacketRing(60.0, 1 << 30)
    assert len(read_into(ring, make_video(tmp_path / "video.mp4"))) == FPS * SECONDS
    assert ring.cut(0.0, 9.0) is None
    assert [record.message for record in caplog.records] == [
        "camera: its packets (h264) cannot be kept for clips: 'nut' format does not support this codec"
    ]


def test_packets_before_the_first_key_frame_are_left_out(tmp_path):
    class Listener:
        def __init__(self):
            self.calls = []

        def begin(self, header, time_base):
            self.calls.append("begin")

        def add(self, packet):
            self.calls.append(packet.is_keyframe)

        def note(self, stream_seconds):
            self.calls.append(stream_seconds)

    listener = Listener()
    with av.open(str(make_video(tmp_path / "video.mp4", options={"bf": "0"}))) as container:
        stream = container.streams.video[0]
        copier = packets.PacketCopier(stream, listener, "door")
        chosen = list(container.demux(stream))[3:45]
        for packet in chosen:
            copier.add(packet)
            copier.note(packet.pts * packet.time_base)
            copier.note(None)
    assert listener.calls[:2] == ["begin", True]
    assert listener.calls.count("begin") == 1
    first = next(number for number, packet in enumerate(chosen) if packet.is_keyframe)
    assert first > 0
    assert len(listener.calls) == 1 + 2 * (len(chosen) - first)
