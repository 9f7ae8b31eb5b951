"""Detection in several frames at the same time, beside tracking."""

import threading

import pytest
from rig import Rig, ScriptedDetector, recording
from scripted import make_frame

from edge_hoi.ingest import FakeSource


class MeetingDetector(ScriptedDetector):
    """Returns from the first frames only when two threads detect at the same time."""

    meeting = None

    def detect(self, images):
        if images[0].pts_seconds < 0.15:
            self.meeting.wait(30)
        return super().detect(images)


class CountingDetector(ScriptedDetector):
    """Counts how many threads detect at the same time."""

    def __init__(self, engine):
        super().__init__(engine)
        self.most = self.now = 0
        self.counting = threading.Lock()

    def detect(self, images):
        with self.counting:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.01)
        with self.counting:
            self.now -= 1
        return super().detect(images)


def test_a_recording_is_detected_in_two_frames_at_a_time(monkeypatch):
    monkeypatch.setattr(MeetingDetector, "meeting", threading.Barrier(2))
    rig = Rig(MeetingDetector, max_requests=2)
    (status,) = rig.run(rig.camera("a", recording("a")))
    assert status.frames == 30


def test_while_the_engine_works_the_next_frames_of_a_recording_are_prepared():
    rig = Rig(CountingDetector, max_requests=2)
    rig.run(rig.camera("a", recording("a")))
    assert rig.detector.most == 4


@pytest.mark.parametrize("max_requests", [1, 2])
def test_a_frame_of_a_live_camera_is_not_taken_before_the_engine_is_free(max_requests):
    rig = Rig(CountingDetector, max_requests=max_requests)
    frames = [make_frame(index / 100, index=index, camera="a") for index in range(200)]
    rig.run(rig.camera("a", lambda: FakeSource(frames, is_live=True), is_recording=False, max_frames=20))
    assert rig.detector.most <= max_requests


@pytest.mark.parametrize("max_requests", [1, 2, 4])
def test_events_do_not_depend_on_how_many_frames_are_detected_at_a_time(max_requests):
    rig, expected = Rig(max_requests=max_requests), Rig(max_requests=1)
    for each in (rig, expected):
        each.run(*(each.camera(name, recording(name)) for name in "ab"))
    for name, events in expected.events_by_camera().items():
        assert rig.events_by_camera()[name] == events
        assert len(events) > 2


def test_frames_beyond_the_limit_that_were_detected_already_are_not_counted():
    rig = Rig(max_requests=4)
    (status,) = rig.run(rig.camera("a", recording("a"), max_frames=7))
    assert status.frames == 7
