"""Cameras whose time stamps are wrong: durations are right within a frame, and the clock says what was done."""

import time
from itertools import islice, pairwise

import pytest
from busy_machine import within
from numbered_clips import write_clip

from edge_hoi.ingest import open_source
from edge_hoi.lab.soak.camera import FaultyCamera

FPS = 25


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """Return a clip of one second, which a camera repeats."""
    return write_clip(tmp_path_factory.mktemp("clip") / "second.mp4", frames=FPS, key_frame_distance=FPS, fps=FPS)


@pytest.fixture
def camera(second):
    with FaultyCamera(second) as camera:
        yield camera


@pytest.fixture
def watch(camera):
    with open_source(camera.url, source_id="door", open_timeout_seconds=20.0) as source:
        yield iter(source)


def errors_of(frames):
    """Return how far each frame's media time is from the truth, in seconds: the camera shows a frame every 40 ms and loses none."""
    return [frame.pts_seconds - frame.index / FPS for frame in frames]


@pytest.mark.parametrize("jump", [32, 3600, -3600, 37_600, 47_800], ids=str)
def test_a_lasting_jump_is_joined(camera, watch, jump):
    frames = list(islice(watch, 40))
    camera.faults.jump_seconds = jump
    frames += islice(watch, 60)
    assert max(map(abs, errors_of(frames))) <= 1 / FPS
    assert [frames[number].clock.correction for number in (0, -1)] == [None, "joined"]


@pytest.mark.parametrize("jump", [5, 37_600, -3600], ids=str)
def test_a_few_frames_with_wrong_stamps_are_restamped(camera, watch, jump):
    frames = list(islice(watch, 40))
    sent = camera.sent
    camera.faults.jump_seconds = jump
    while camera.sent < sent + 2:  # the first may have been on its way
        time.sleep(0.001)
    camera.faults.jump_seconds = 0.0
    frames += islice(watch, 60)
    assert max(map(abs, errors_of(frames))) <= 1 / FPS
    assert frames[-1].clock.correction == "restamped"


def test_many_jumps_add_up_to_no_more_than_a_frame_each(camera, watch):
    frames = list(islice(watch, 25))
    for number in range(1, 6):
        camera.faults.jump_seconds += 1000 * (-1) ** number * number
        frames += islice(watch, 15)
    assert max(map(abs, errors_of(frames))) <= 5 / FPS


@pytest.mark.slow
@pytest.mark.parametrize("pace", [0.5, 2.0], ids=str)
def test_a_camera_that_stamps_another_rate_than_it_sends(camera, pace):
    camera.faults.stamped_pace = pace
    with open_source(camera.url, source_id="door", open_timeout_seconds=20.0) as source:
        frames = list(islice(source, 12 * FPS))
    assert frames[-1].clock.correction == "measured"
    settled = errors_of(frames)[6 * FPS :]
    assert max(settled) - min(settled) < within(1 / FPS)
    if pace < 1:  # what was too short is made up for
        assert max(map(abs, settled)) < within(4 / FPS)


def test_a_camera_that_reports_its_clock_tells_when_frames_were_captured(camera):
    camera.faults.clock_error = 0.0
    with open_source(camera.url, source_id="door", open_timeout_seconds=20.0) as source:
        frames = list(islice(source, 60))
    assert (frames[-1].clock.source, frames[-1].clock.quality) == ("rtcp", "synchronised")
    by_rtcp = [frame for frame in frames if frame.clock.source == "rtcp"]
    steps = {round((after.captured_at - before.captured_at).total_seconds() * FPS) for before, after in pairwise(by_rtcp)}
    assert steps <= {0, 1, 2}  # in each report, the camera's clock is some ms off its stamps
    assert abs((by_rtcp[-1].captured_at - by_rtcp[0].captured_at).total_seconds() - (len(by_rtcp) - 1) / FPS) < within(0.1)


@pytest.mark.parametrize("error", [-3600.0, 86_400.0], ids=str)
def test_a_camera_that_does_not_know_the_time_is_not_believed(camera, error):
    camera.faults.clock_error = error
    with open_source(camera.url, source_id="door", open_timeout_seconds=20.0) as source:
        frames = list(islice(source, 60))
    assert {(frame.clock.source, frame.clock.quality) for frame in frames} == {("arrival", "estimated")}
