"""The last events of several cameras wait for their images and videos together, and no frame of another camera waits for them."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from busy_machine import within
from rig import Rig, ScriptedDetector, recording
from scripted import make_frame

from edge_hoi.ingest import FakeSource
from edge_hoi.media import AnnotateSettings, SnapshotSettings
from edge_hoi.pipeline import annotated_video
from edge_hoi.pipeline.annotated_video import AnnotatedVideo
from edge_hoi.pipeline.episode_media import FINISH_SECONDS, EpisodeMedia
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Phase

IMAGE = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
NAMES = "abcdefgh"


class HangingStore:
    """Never has a file written."""

    def __init__(self):
        self.released, self.asked = threading.Event(), 0

    def write(self, *_, **__):
        self.asked += 1
        self.released.wait(60)


@pytest.fixture
def store():
    store = HangingStore()
    yield store
    store.released.set()


class LiveSource(FakeSource):
    """A camera of 20 frames a second, until `lost` is set."""

    def __init__(self, name, lost=None):
        super().__init__([make_frame(0, camera=name, image=IMAGE)], is_live=True)
        self.name, self.lost = name, lost or threading.Event()

    def __iter__(self):
        for index in range(10_000):
            if self.lost.wait(0.05):
                return
            frame = make_frame(index / 20, index=index, camera=self.name, image=IMAGE)
            yield replace(frame, arrived_seconds=time.monotonic())


def media_of(store, name):
    def make():
        return EpisodeMedia(store, camera=name, snapshots=SnapshotSettings(max_side=64), clips=None, ring=None, is_recording=False)

    return make


def test_cameras_whose_disk_hangs_stop_together(store, wait_for):
    rig, stop = Rig(max_batch=8), threading.Event()
    cameras = [rig.camera(name, lambda name=name: LiveSource(name), is_recording=False, make_media=media_of(store, name)) for name in NAMES]
    thread = threading.Thread(target=rig.run, args=cameras, kwargs={"stop": stop})
    thread.start()
    try:
        wait_for(lambda: store.asked == len(NAMES))
    finally:
        began = time.monotonic()
        stop.set()
        thread.join(60)
    # Half a second for the events, and as long for the threads that write, but not for each camera.
    assert time.monotonic() - began < within(2 * FINISH_SECONDS + 1.0)
    assert len(rig.events_by_camera()) == len(NAMES)
    for events in rig.events_by_camera().values():
        assert (events[0].phase, events[-1].phase, events[-1].end_reason) == (Phase.STARTED, Phase.ENDED, EndReason.SHUTDOWN)


def test_a_lost_camera_whose_disk_hangs_holds_up_no_other(store, wait_for):
    rig, lost, stop, ages = Rig(), threading.Event(), threading.Event(), []

    class Timed(Tracker):
        def update(self, frame, interactions):
            ages.append(time.monotonic() - frame.arrived_seconds)
            return super().update(frame, interactions)

    cameras = [
        rig.camera("lost", lambda: LiveSource("lost", lost), is_recording=False, make_media=media_of(store, "lost")),
        rig.camera("other", lambda: LiveSource("other"), is_recording=False, tracker=Timed()),
    ]
    thread = threading.Thread(target=rig.run, args=cameras, kwargs={"stop": stop})
    thread.start()
    try:
        wait_for(lambda: store.asked)
        ages.clear()
        lost.set()
        wait_for(lambda: any(event.camera == "lost" and event.phase is Phase.ENDED for event in rig.sink.events))
        assert max(ages) < within(FINISH_SECONDS / 2)
    finally:
        stop.set()
        thread.join(60)
    assert rig.events_by_camera()["lost"][-1].end_reason is EndReason.SOURCE_LOST


def test_annotated_videos_are_finished_together(tmp_path, monkeypatch):
    monkeypatch.setattr(annotated_video, "CLOSE_SECONDS", 1.0)
    hanging, closing = threading.Event(), []
    monkeypatch.setattr(AnnotatedVideo, "_draw", lambda self, drawing: hanging.wait(60))
    rig = Rig(max_batch=8)
    cameras = [
        rig.camera(
            name,
            lambda name=name: LiveSource(name),
            is_recording=False,
            make_video=lambda fps, name=name: AnnotatedVideo(tmp_path / f"{name}.mp4", AnnotateSettings(), fps, drops=True),
            max_frames=3,
        )
        for name in NAMES
    ]
    request_stop = cameras[0].request_stop
    cameras[0].request_stop = lambda: closing.append(time.monotonic()) or request_stop()
    try:
        rig.run(*cameras)
    finally:
        hanging.set()
    assert time.monotonic() - closing[0] < within(2.0)


def test_a_recording_whose_last_frames_wait_long_for_the_engine_is_not_lost():
    """It was read to its end before; the episodes of a lost source end after 0.3 s here."""

    class Slow(ScriptedDetector):
        def detect(self, images):
            time.sleep(0.5 if images[0].pts_seconds > 0.75 else 0.0)
            return super().detect(images)

    rig = Rig(Slow)
    rig.run(rig.camera("a", recording("a", seconds=1.0)))
    events = rig.events_by_camera()["a"]
    assert [event.phase for event in events if event.phase is not Phase.UPDATED] == [Phase.STARTED, Phase.ENDED]
    assert events[-1].end_reason is EndReason.END_OF_STREAM
    assert events[-1].last.pts_seconds == pytest.approx(0.9)
