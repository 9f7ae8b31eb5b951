"""`edge_hoi.stream`: frames with tracked interactions."""

import threading

import pytest

import edge_hoi as hoi


def test_a_recording_gives_every_frame_with_its_tracks(demo_frames):
    with hoi.stream(hoi.DEMO_CLIP) as stream:
        seen = [(frame, interactions) for (frame, interactions), _ in zip(stream, range(60), strict=False)]
    assert [frame.index for frame, _ in seen] == list(range(60))
    assert (seen[40][0].image == demo_frames[40].image).all()
    callers = {row.human_id for _, interactions in seen[25:] for row in interactions if row.text == "person talking on cell phone"}
    assert len(callers) == 1
    assert None not in callers
    rows = list(seen[-1][1])
    assert {row.human_id for row in rows} <= seen[-1][1].tracks.keys()
    assert rows[0].to_dict().keys() >= {"human_id", "object_id"}


def test_a_frame_is_annotated_with_its_track_ids(demo_frames):
    with hoi.stream(hoi.DEMO_CLIP) as stream:
        frame, interactions = next(pair for pair in stream if len(pair[1]))
        image = hoi.annotate(frame, interactions)
    assert image.shape == frame.image.shape
    assert (image != frame.image).any()


@pytest.mark.slow
def test_a_target_rate_takes_fewer_frames():
    with hoi.stream(hoi.DEMO_CLIP, target_fps=3, threshold=0.9) as stream:
        frames = [frame for frame, _ in stream if frame.pts_seconds < 4]
        assert 10 <= len(frames) <= 13


def test_another_thread_can_stop_it():
    with hoi.stream(hoi.DEMO_CLIP) as stream:
        count = 0
        for frame, _ in stream:
            count += 1
            if frame.index == 5:
                threading.Thread(target=stream.stop).start()
        assert 6 <= count < 400
        assert next(stream, None) is None


def test_a_source_that_cannot_be_read_raises_while_iterating():
    with hoi.stream("nowhere.mp4") as stream, pytest.raises(hoi.EdgeHoiError, match="there is no such file"):
        next(iter(stream))


def test_a_demonstration_engine_is_refused_for_a_camera_unless_allowed():
    with pytest.raises(hoi.EdgeHoiError, match="trained on rendered images only: on the live source 'camera-stream'"):
        hoi.stream("rtsp://camera/stream")
    hoi.stream("rtsp://camera/stream", allow_demo_engine=True).close()
