import threading

import numpy as np
import pytest
from rig import Rig, recording
from scripted import HUMAN, OBJECT, RIDE, EventPipeline, make_frame, make_interactions, make_keeper

from edge_hoi.errors import EdgeHoiError
from edge_hoi.ingest import open_source
from edge_hoi.media import AnnotateSettings
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker


@pytest.mark.parametrize(("score", "is_drawn"), [(0.55, False), (0.65, True)])
def test_only_what_reaches_the_level_is_drawn(tmp_path, score, is_drawn):
    path, tracker = tmp_path / "seen.mp4", Tracker()
    video = AnnotatedVideo(path, AnnotateSettings(min_score=0.6, strip_rows=0), 10.0, drops=False)
    for index in range(5):
        frame = make_frame(index / 10, index=index)
        video.write(frame, tracker.update(frame, make_interactions([(HUMAN, OBJECT, RIDE, score)])), [])
    video.close()
    with open_source(str(path), source_id="seen") as source:
        pictures = [frame.image for frame in source]
    assert len(pictures) == 5
    assert bool(pictures[-1].max() > 100) is is_drawn  # the frames themselves are black


def test_an_interaction_is_grey_until_its_episode_is_emitted(tmp_path):
    path, pipeline = tmp_path / "seen.mp4", EventPipeline()
    video = AnnotatedVideo(path, AnnotateSettings(strip_rows=0), 10.0, drops=False)
    emitted_at = None
    for index in range(20):
        frame = make_frame(index / 10, index=index)
        tracked = pipeline.tracker.update(frame, make_interactions([(HUMAN, OBJECT, RIDE, 0.9)]))
        events = pipeline.keeper.update(frame, tracked)
        emitted_at = index if events and emitted_at is None else emitted_at
        video.write(frame, tracked, [*events, *pipeline.keeper.current()])
    video.close()
    with open_source(str(path), source_id="seen") as source:
        corners = [
            frame.image[int(OBJECT[3]) - 8 : int(OBJECT[3]) + 3, 88:93].astype(int) for frame in source
        ]  # left and below of the person
    colourful = [int(np.ptp(corner, axis=-1).max()) > 60 for corner in corners]
    assert 0 < emitted_at < 19
    assert colourful == [index >= emitted_at for index in range(20)]


@pytest.mark.parametrize("delay", [None, 0, 1, 30])
def test_an_episode_is_open_until_its_keeper_has_ended_it_however_late_its_events_come(tmp_path, monkeypatch, delay):
    """They come late, or between frames, where they wait for images."""
    drawn = []
    monkeypatch.setattr(AnnotatedVideo, "_draw", lambda self, drawing: drawn.append([line.is_open for line in drawing.lines]))
    keeper, late = make_keeper(), []

    class Media:
        is_waiting = False

        def update(self, frame, tracked, events, current):
            late.extend((frame.index + (delay or 0), event) for event in events)
            ready = [event for due, event in late if due == frame.index]
            return [] if delay is None else ready

        def poll(self):
            return [] if delay is not None else [late.pop(0)[1] for _ in list(late)]

    video = AnnotatedVideo(tmp_path / "seen.mp4", AnnotateSettings(), 10.0, drops=False)
    camera = Rig().camera("camera", recording("camera"), keeper=lambda camera: keeper, make_video=lambda fps: video, make_media=Media)
    expected = []
    for index in range(100):
        frame = make_frame(index / 10, index=index)
        rows = [(HUMAN, OBJECT, RIDE, 0.9)] if index < 20 else []
        events = camera.process(frame, make_interactions(rows), None, StageTimer())
        expected.append([True] * len(keeper.current()))
        camera.draw(frame, events, StageTimer())
        camera.poll()
    video.close()
    assert [True] in expected
    assert [[line for line in lines if line] for lines in drawn] == expected
    assert drawn[-1] == []
    assert video._episodes == {}


def write(video, count):
    tracker = Tracker()
    for index in range(count):
        frame = make_frame(index / 10, index=index)
        video.write(frame, tracker.update(frame, make_interactions([(HUMAN, OBJECT, RIDE, 0.9)])), [])


def test_frames_of_a_live_camera_that_cannot_be_drawn_in_time_are_dropped_and_counted(tmp_path, monkeypatch, caplog):
    may_draw, begun = threading.Event(), threading.Event()

    def draw(self, drawing):
        begun.set()
        assert may_draw.wait(30)
        drawn.append(drawing.frame.index)

    drawn = []
    monkeypatch.setattr(AnnotatedVideo, "_draw", draw)
    video = AnnotatedVideo(tmp_path / "seen.mp4", AnnotateSettings(), 10.0, drops=True)
    write(video, 1)
    assert begun.wait(30)
    write(video, 20)  # none of which waits
    may_draw.set()
    video.close()
    assert drawn == [0, *range(12, 20)]
    assert "12 frames were not drawn" in caplog.text


def test_a_recording_waits_until_its_frames_are_drawn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(AnnotatedVideo, "_draw", lambda self, drawing: drawn.append(drawing.frame.index))
    video = AnnotatedVideo(tmp_path / "seen.mp4", AnnotateSettings(), 10.0, drops=False)
    write(video, 100)
    video.close()
    assert drawn == list(range(100))


def test_a_frame_that_cannot_be_written_is_reported_by_the_next_and_at_the_end(tmp_path, wait_for):
    video = AnnotatedVideo(tmp_path / "missing" / "seen.mp4", AnnotateSettings(), 10.0, drops=False)
    write(video, 1)
    wait_for(lambda: video._error is not None)
    with pytest.raises(EdgeHoiError, match=r"seen\.mp4"):
        write(video, 1)
    with pytest.raises(EdgeHoiError, match=r"seen\.mp4"):
        video.close()
