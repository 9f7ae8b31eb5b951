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


@pytest.mark.parametrize("threshold", [-0.01, 1.01, float("nan"), "high"])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    with pytest.raises(hoi.EdgeHoiError, match="score_threshold: Input should be"):
        hoi.stream(hoi.DEMO_CLIP, threshold=threshold)


@pytest.mark.parametrize("source", [None, ["a.mp4"], b"a.mp4"])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(hoi.EdgeHoiError, match="a source is a file, a folder, a URL or a device, as text or a path; got "):
        hoi.stream(source)


def test_leaving_it_while_another_thread_iterates_ends_that_thread():
    before = threading.enumerate()
    with hoi.stream(hoi.DEMO_CLIP) as stream:
        is_iterating, errors = threading.Event(), []

        def iterate():
            try:
                for _ in stream:
                    is_iterating.set()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=iterate)
        thread.start()
        assert is_iterating.wait(60)
    thread.join(60)
    assert not thread.is_alive()
    assert not errors
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-") and thread not in before]
