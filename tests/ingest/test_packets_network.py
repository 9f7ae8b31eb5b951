"""A real RTSP camera's packets become clips, also after it was gone, and each clip is of one connection."""

import io

import av
import pytest

from edge_hoi.ingest import ReaderState, SourceReader, open_source
from edge_hoi.ingest.reader import RetryPolicy
from edge_hoi.media import PacketRing, mux_clip


def frames_until(reader, seconds):
    """Take frames up to a media time; return the time of the last one."""
    while (frame := reader.mailbox.get(30)) is not None and frame.pts_seconds < seconds:
        pass
    assert frame is not None, (reader.state, reader.error)
    return frame.pts_seconds


def decoded(run):
    with av.open(io.BytesIO(mux_clip(run))) as container:
        frames = list(container.decode(video=0))
    assert frames[0].key_frame
    assert not any(frame.is_corrupt for frame in frames)
    return frames


def test_clips_of_a_camera_that_was_gone_for_a_while(rtsp_server, long_clip, wait_for):
    server, ring = rtsp_server(long_clip), PacketRing(60.0, 1 << 30)

    def open_camera():
        return open_source(server.url, source_id="door", listener=ring, read_timeout_seconds=1.0, open_timeout_seconds=2.0)

    retries = RetryPolicy(initial_wait_seconds=0.05, max_wait_seconds=0.1)
    with SourceReader(open_camera, source_id="door", retries=retries, listener=ring) as reader:
        before = frames_until(reader, 2.5)
        server.stop()
        wait_for(lambda: reader.state is not ReaderState.STREAMING)
        server.start()
        wait_for(lambda: reader.state is ReaderState.STREAMING)
        first = reader.mailbox.get(30).pts_seconds
        after = frames_until(reader, first + 2.5)
    assert before < first
    clip, later = ring.cut(1.2, after), ring.cut(first + 1.0, after)
    assert 0.0 <= clip.start_seconds <= 1.2
    assert before - 1.2 - 0.2 <= len(decoded(clip)) / 25 <= before + 1.5  # it ends with its connection
    assert first - 0.5 <= later.start_seconds <= first + 1.001  # a time base rounds
    assert len(decoded(later)) / 25 == pytest.approx(after - later.start_seconds, abs=0.3)
