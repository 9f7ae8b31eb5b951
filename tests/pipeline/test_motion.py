"""Motion gating: what is selected for detection, and what a run makes of it."""

import time

import av
import cv2
import numpy as np
import pytest
from rig import Rig, ScriptedDetector
from scripted import HUMAN, OBJECT, RIDE, make_frame, make_interactions

from edge_hoi.ingest import FakeSource, open_source
from edge_hoi.pipeline.motion import SETTLE_SECONDS, STILL_INTERVAL_SECONDS, MotionGate
from edge_hoi.types import Phase

FPS = 10
HEIGHT, WIDTH = 720, 1280


def scene(*, box=None, level=90, noise=0.0, seed=0):
    """Return a grey image of 1280x720 with noise, and a lighter box (left, top, right, bottom) in it."""
    image = np.full((HEIGHT, WIDTH, 3), level, np.float32)
    if box is not None:
        left, top, right, bottom = box
        image[top:bottom, left:right] += 60
    return np.clip(image + noise * np.random.default_rng(seed).standard_normal(image.shape, np.float32), 0, 255).astype(np.uint8)


def selected(images, fps=FPS):
    """Return the numbers of the frames that a new gate selects."""
    gate = MotionGate()
    return [index for index, image in enumerate(images) if gate.selects(make_frame(index / fps, index=index, image=image))]


def test_where_nothing_moves_the_first_frames_are_selected_and_then_two_a_second():
    assert (SETTLE_SECONDS, STILL_INTERVAL_SECONDS) == (0.5, 0.5)
    assert selected([scene()] * 26) == [0, 1, 2, 3, 4, 9, 14, 19, 24]


def test_noise_of_a_sensor_is_no_motion():
    assert selected([scene(noise=6.0, seed=index) for index in range(26)]) == [0, 1, 2, 3, 4, 9, 14, 19, 24]


@pytest.mark.parametrize("size", [24, 48])
def test_a_small_thing_that_appears_is_motion_and_so_is_its_going(size):
    box = (600, 300, 600 + size, 300 + size)
    images = [scene()] * 12 + [scene(box=box)] * 10 + [scene()]
    assert selected(images) == [0, 1, 2, 3, 4, 9, 12, 13, 14, 15, 16, 21, 22]


def test_slow_motion_adds_up():
    """16 pixels a second at 30 frames a second: half a pixel from frame to frame."""
    chosen = selected([scene(box=(400 + index // 2, 200, 500 + index // 2, 600)) for index in range(120)], fps=30)
    assert len(chosen) > 60
    assert max(np.diff(chosen)) <= 15


def test_a_camera_whose_image_changes_its_size_is_selected():
    assert 12 in selected([scene()] * 12 + [np.full((HEIGHT, WIDTH // 2, 3), 200, np.uint8)])


@pytest.fixture
def one_opencv_thread():
    """Let OpenCV work in the calling thread, whose processor time is measured."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def test_a_gate_costs_a_quarter_of_what_resizing_the_frame_costs(one_opencv_thread):
    gate, gate_seconds, resize_seconds = MotionGate(), [], []
    for index in range(60):
        image = scene() if index % 2 else scene(box=(0, 0, 600, 600))
        began = time.thread_time()
        gate.selects(make_frame(index / FPS, image=image))
        gate_seconds.append(time.thread_time() - began)
        began = time.thread_time()
        cv2.resize(image, (512, 288), interpolation=cv2.INTER_AREA)
        resize_seconds.append(time.thread_time() - began)
    assert min(gate_seconds) <= min(resize_seconds) / 4  # the least, as other processes slow memory down


@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray", "yuv420p10le", "bgr0"])
def test_motion_is_seen_in_every_form_of_a_decoded_image(tmp_path, pixel_format):
    path = tmp_path / "scene.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 180, pixel_format
        for index in range(20):
            image = np.full((180, 320, 3), 90, np.uint8)
            if index == 12:
                image[90:120, 150:180] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixel_format)))
        container.mux(stream.encode())
    gate = MotionGate()
    with open_source(str(path), source_id="a") as source:
        chosen = [frame.index for frame in source if gate.selects(frame)]
    assert chosen == [0, 1, 2, 3, 4, 9, 12, 13, 14, 15, 16, 17]


class SittingDetector(ScriptedDetector):
    """Sees a ride that does not move, in the frames from 1 s to 4 s."""

    def detect(self, images):
        self.batches.append([round(FPS * image.pts_seconds) for image in images])
        rows = [(HUMAN, OBJECT, RIDE, 0.9)]
        return [make_interactions(rows if 1 <= image.pts_seconds < 4 else []) for image in images]


def sitting(fps=FPS):
    """A scene in which something comes at 1 s and goes at 4 s."""
    there = np.full((360, 640, 3), 150, np.uint8)
    frames = [make_frame(index / fps, index=index, camera="a", image=there if 1 <= index / fps < 4 else None) for index in range(6 * fps)]
    return lambda: FakeSource(frames)


def ends(rig):
    return [(event.start.pts_seconds, event.end.pts_seconds) for event in rig.sink.events if event.phase is Phase.ENDED]


def test_an_episode_in_which_nothing_moves_is_the_same_with_two_fifths_of_the_detections():
    always, gated = Rig(SittingDetector), Rig(SittingDetector)
    (all_status,) = always.run(always.camera("a", sitting()))
    (status,) = gated.run(gated.camera("a", sitting(), gate=MotionGate()))
    assert ends(gated) == ends(always) == [(1.0, 3.9)]
    assert (all_status.frames, all_status.carried, sum(map(len, always.detector.batches))) == (60, 0, 60)
    assert (status.frames, status.carried, sum(map(len, gated.detector.batches))) == (60, 36, 24)


@pytest.mark.parametrize("max_requests", [1, 2, 4])
@pytest.mark.parametrize("max_batch", [1, 4])
def test_the_events_of_a_gated_recording_do_not_depend_on_requests_and_batches(max_requests, max_batch):
    expected, rig = Rig(SittingDetector), Rig(SittingDetector, max_requests=max_requests, max_batch=max_batch)
    for each in (expected, rig):
        each.run(*(each.camera(name, sitting(), gate=MotionGate()) for name in "ab"))
    assert rig.sink.events == expected.sink.events
    assert len(rig.sink.events) >= 4


class BrokenGate(MotionGate):
    def selects(self, frame):
        if frame.index == 5:
            raise ZeroDivisionError("made up")
        return super().selects(frame)


def test_a_camera_whose_gate_breaks_ends_alone():
    rig = Rig()
    broken, whole = rig.run(rig.camera("a", sitting(), gate=BrokenGate()), rig.camera("b", sitting()))
    assert (broken.state, broken.error) == ("failed", "made up")
    assert (whole.state, whole.frames) == ("ended", 60)
