"""Events get their images and videos, in order and in time, and go on without where these fail or take too long."""

import hashlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from busy_machine import within
from encoded_video import FPS, make_video, numbers_in, read_into
from scripted import FAR_HUMAN, FAR_OBJECT, HUMAN, OBJECT, RIDE, EventPipeline, make_frame, make_interactions, times

from edge_hoi.errors import EdgeHoiError
from edge_hoi.events import EpisodeSettings
from edge_hoi.media import ClipSettings, MediaStore, SnapshotSettings, StoreSettings
from edge_hoi.pipeline.episode_media import FINISH_SECONDS, EpisodeMedia
from edge_hoi.types import EndReason, Phase

STARTED, UPDATED, ENDED = Phase.STARTED, Phase.UPDATED, Phase.ENDED
IMAGE = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
NEAR, FAR = (HUMAN, OBJECT, RIDE, 0.9), (FAR_HUMAN, FAR_OBJECT, RIDE, 0.9)
QUIET = EpisodeSettings(update_interval_seconds=1000)
CLIPS = ClipSettings(before_seconds=1, after_seconds=2, max_seconds=4)


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """Return a ring with 8 seconds of video that shows the numbers of its frames."""
    ring = CLIPS.make_ring()
    read_into(ring, make_video(tmp_path_factory.mktemp("video") / "video.mp4"))
    return ring


@pytest.fixture
def store(tmp_path):
    return MediaStore(StoreSettings(path=str(tmp_path / "media"), reserve_megabytes=0))


@pytest.fixture
def make_media(store, ring):
    """Return a function that makes the media of a camera; all are closed at the end."""
    made = []

    def make(*, snapshots=SnapshotSettings(max_side=64), clips=None, is_recording=True, store=store):  # noqa: B008
        options = {"snapshots": snapshots, "clips": clips, "ring": ring if clips else None, "is_recording": is_recording}
        made.append(EpisodeMedia(store, camera="gate", **options))
        return made[-1]

    yield make
    for media in made:
        media.close()


def play(media, script, seconds=6.0, fps=10, reason=EndReason.END_OF_STREAM):
    """Return the media times at which events are emitted, and the events, with those of the end of the source."""
    pipeline = EventPipeline(QUIET)
    emitted = []
    for pts in times(fps, seconds):
        frame = make_frame(pts, image=IMAGE)
        tracked = pipeline.tracker.update(frame, make_interactions(script(pts)))
        events = pipeline.keeper.update(frame, tracked)
        emitted += [(pts, event) for event in media.update(frame, tracked, events, pipeline.keeper.current())]
    return emitted + [(seconds, event) for event in end(media, pipeline.keeper.close(reason))]


def end(media, events, *, is_stopped=False):
    """Return the last events, after a wait of half a second at most."""
    until, released = time.monotonic() + FINISH_SECONDS, media.end(events, is_stopped=is_stopped)
    while media.is_waiting and time.monotonic() < until:
        time.sleep(0.005)
        released += media.poll()
    return released + media.release()


def content(media):
    data = Path(media.uri.removeprefix("file://")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == media.sha256
    assert len(data) == media.size_bytes
    return data


def test_every_event_of_a_recording_has_an_image_from_the_first_on(make_media, store):
    events = [event for _, event in play(make_media(), lambda pts: [NEAR] if pts < 3 else [])]
    assert [event.phase for event in events] == [STARTED, ENDED]
    for event in events:
        assert content(event.snapshot)[:2] == b"\xff\xd8"
        assert event.clip is None
    assert events[0].snapshot.start_seconds == events[0].last.pts_seconds


def test_an_image_is_replaced_by_a_better_one_under_another_name(make_media):
    scores = lambda pts: [(HUMAN, OBJECT, RIDE, 0.7 if pts < 2 else 0.95)] if pts < 4 else []  # noqa: E731
    started, *_, ended = [event for _, event in play(make_media(), scores, seconds=8)]
    assert started.snapshot.start_seconds < 2 <= ended.snapshot.start_seconds
    assert started.snapshot.uri != ended.snapshot.uri
    assert content(started.snapshot)
    assert content(ended.snapshot)


def test_a_clip_holds_the_start_of_its_episode_and_the_seconds_around_it(make_media):
    emitted = play(make_media(clips=CLIPS, snapshots=None), lambda pts: [NEAR] if 2 <= pts < 3 else [], seconds=8)
    (_, started), (ended_at, ended) = emitted
    assert (started.phase, started.snapshot, started.clip, ended.phase) == (STARTED, None, None, ENDED)
    assert ended.last.pts_seconds == pytest.approx(2.9)
    assert ended_at == pytest.approx(4.9)  # later than its patience: the video goes on for 2 s
    numbers, shown = numbers_in(content(ended.clip))
    assert ended.clip.media_type == "video/mp4"
    assert ended.clip.start_seconds == pytest.approx(numbers[0] / FPS)
    assert numbers[0] <= FPS < numbers[0] + 2 * FPS
    assert -1 < numbers[-1] - 4.9 * FPS < 4  # B-frames at the end need a frame after them
    assert shown[0] == 0.0


def test_the_clip_of_a_long_episode_is_its_first_seconds(make_media):
    *_, (_, ended) = play(make_media(clips=CLIPS, snapshots=None), lambda pts: [NEAR] if 1 <= pts < 7 else [], seconds=8)
    numbers, _ = numbers_in(content(ended.clip))
    assert numbers[0] == 0
    assert 0 <= numbers[-1] - 5 * FPS < 4


def test_an_event_that_waits_for_its_clip_holds_up_no_other_episode(make_media):
    script = lambda pts: ([NEAR] if pts < 1 else []) + ([FAR] if 1.8 <= pts < 5 else [])  # noqa: E731
    emitted = play(make_media(clips=CLIPS), script, seconds=8)
    assert [(event.phase, event.human.box[0] < 0.5) for _, event in emitted] == [
        (STARTED, True),
        (STARTED, False),
        (ENDED, True),
        (ENDED, False),
    ]
    assert all(event.clip is not None for _, event in emitted if event.phase is ENDED)


@pytest.mark.parametrize("reason", [EndReason.SHUTDOWN, EndReason.SOURCE_LOST])
def test_the_end_of_the_source_gives_every_event_what_there_is(make_media, reason):
    media = make_media(clips=CLIPS, is_recording=False)
    *_, (_, ended) = play(media, lambda pts: [NEAR] if pts >= 2 else [], seconds=4, reason=reason)
    assert (ended.phase, ended.end_reason) == (ENDED, reason)
    assert content(ended.clip)
    assert content(ended.snapshot)


def test_two_runs_over_a_recording_refer_to_the_same_bytes(make_media):
    script = lambda pts: [NEAR, FAR] if pts < 5 else []  # noqa: E731
    runs = [play(make_media(clips=CLIPS), script, seconds=8) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(runs[0]) >= 4


class BrokenStore:
    """Fails at every file, or blocks until it is released."""

    def __init__(self, release=None):
        self.release = release

    def write(self, *_, **__):
        if self.release is None:
            raise EdgeHoiError("the disk is made up")
        self.release.wait()
        raise ZeroDivisionError


@pytest.mark.parametrize("is_recording", [True, False])
def test_a_disk_that_fails_costs_the_images_and_one_line_and_no_event(make_media, caplog, is_recording):
    media = make_media(store=BrokenStore(), clips=CLIPS, is_recording=is_recording)
    events = [event for _, event in play(media, lambda pts: [NEAR, FAR] if pts < 3 else [])]
    assert sorted(event.phase for event in events) == sorted([STARTED, STARTED, ENDED, ENDED])
    assert {(event.snapshot, event.clip) for event in events} == {(None, None)}
    assert [record.message for record in caplog.records] == [
        "gate: an event has no image or video: the disk is made up; events are not affected"
    ]


def test_a_disk_that_hangs_holds_a_live_camera_s_events_for_two_seconds_and_its_frames_not_at_all(make_media):
    release = threading.Event()
    media = make_media(store=BrokenStore(release), is_recording=False)
    try:
        began = time.monotonic()
        pipeline, emitted = EventPipeline(QUIET), []
        for pts in times(10, 1.5):
            frame = make_frame(pts, image=IMAGE)
            tracked = pipeline.tracker.update(frame, make_interactions([NEAR]))
            emitted += media.update(frame, tracked, pipeline.keeper.update(frame, tracked), pipeline.keeper.current())
        taken = time.monotonic() - began
        assert taken < within(2.0)
        assert emitted == [] or taken > 2.0
        assert media._submitted <= 3
        time.sleep(2.1)
        started = time.monotonic()
        emitted += media.poll()
        assert [event.phase for event in emitted] == [STARTED]
        assert [event.phase for event in end(media, pipeline.keeper.close(EndReason.SHUTDOWN))] == [ENDED]
        assert time.monotonic() - started < within(2.0)
    finally:
        release.set()


@pytest.mark.parametrize("is_recording", [True, False])
def test_a_stopped_program_waits_for_no_disk_that_hangs(make_media, is_recording):
    release = threading.Event()
    media = make_media(store=BrokenStore(release), is_recording=False)
    media._is_recording, media._patience = is_recording, 10.0 * is_recording
    try:
        pipeline = EventPipeline(QUIET)
        tracked = [pipeline.tracker.update(make_frame(pts, image=IMAGE), make_interactions([NEAR, FAR])) for pts in times(10, 2)]
        for pts, each in zip(times(10, 2), tracked, strict=True):
            pipeline.keeper.update(make_frame(pts, image=IMAGE), each)
        began = time.monotonic()
        events = end(media, pipeline.keeper.close(EndReason.SHUTDOWN), is_stopped=True)
        assert [event.phase for event in events] == [ENDED, ENDED]
        assert time.monotonic() - began < within(2.0)
    finally:
        release.set()


def test_no_image_of_an_ended_episode_is_kept_after_its_last_job_was_refused(make_media, wait_for, monkeypatch):
    monkeypatch.setattr("edge_hoi.pipeline.episode_media._JOBS", 3)
    release = threading.Event()
    media = make_media(store=BrokenStore(release), is_recording=False)
    try:
        pipeline = EventPipeline(QUIET)
        for pts in times(10, 2):
            frame = make_frame(pts, image=IMAGE)
            tracked = pipeline.tracker.update(frame, make_interactions([NEAR]))
            media.update(frame, tracked, pipeline.keeper.update(frame, tracked), pipeline.keeper.current())
        wait_for(lambda: media._best)
        while media._jobs.put(lambda: None, 0.0):  # the disk hangs
            pass
        assert [event.phase for event in end(media, pipeline.keeper.close(EndReason.SOURCE_LOST))] == [STARTED, ENDED]
        assert media._best
        release.set()
        wait_for(lambda: not media._best)
    finally:
        release.set()
