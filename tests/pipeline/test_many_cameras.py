"""Several live cameras on one engine that cannot keep up: shares, batches, latency and memory."""

import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
from busy_machine import within
from rig import Rig, ScriptedDetector
from scripted import make_frame

from edge_hoi.ingest import FakeSource
from edge_hoi.media import MediaStore, SnapshotSettings, StoreSettings, rate_snapshot
from edge_hoi.pipeline import episode_media
from edge_hoi.pipeline.episode_media import EpisodeMedia
from edge_hoi.sinks import FakeSink
from edge_hoi.tracking import Tracker


class LiveSource(FakeSource):
    """A camera of so many frames a second."""

    def __init__(self, name, fps, frames=10**6, images=None):
        super().__init__([make_frame(0, camera=name)], is_live=True)
        self.name, self.fps, self.frames, self.images = name, fps, frames, images

    def __iter__(self):
        began = time.monotonic()
        for index in range(self.frames):
            time.sleep(max(0.0, began + index / self.fps - time.monotonic()))
            frame = make_frame(index / self.fps, index=index, camera=self.name, image=self.images and self.images())
            yield replace(frame, arrived_seconds=time.monotonic())


class SlowDetector(ScriptedDetector):
    """Computes one image after the other, 0.04 s each, and sets `stop` after so many."""

    seconds, stop, count = 0.04, None, 10**6

    def __init__(self, engine):
        super().__init__(engine)
        self.computing, self.busy_seconds, self.began = threading.Lock(), 0.0, time.monotonic()

    def detect(self, images):
        with self.computing:
            began = time.monotonic()
            time.sleep(self.seconds * len(images))
            self.busy_seconds += time.monotonic() - began
            found = super().detect(images)
            if sum(map(len, self.batches)) >= self.count:
                self.idle_seconds = time.monotonic() - self.began - self.busy_seconds
                self.stop.set()
            return found


class TimedTracker(Tracker):
    """Notes how old frames are when they are tracked."""

    def __init__(self):
        super().__init__()
        self.ages, self.numbers = [], []

    def update(self, frame, interactions):
        self.ages.append(time.monotonic() - frame.arrived_seconds)
        self.numbers.append(frame.index)
        return super().update(frame, interactions)


def slow_rig(count, **options):
    """Return a rig whose detector stops the run after so many images, and the event that does."""
    stop = threading.Event()
    detector = type("Detector", (SlowDetector,), {"stop": stop, "count": count})
    return Rig(detector, **options), stop


@pytest.mark.parametrize("max_batch", [1, 4])
def test_eight_cameras_get_equal_shares_of_an_engine_that_never_waits_for_them(max_batch):
    rig, stop = slow_rig(96, max_batch=max_batch)
    trackers = [TimedTracker() for _ in range(8)]
    cameras = [
        rig.camera(name, lambda name=name: LiveSource(name, 15), is_recording=False, tracker=tracker)
        for name, tracker in zip("abcdefgh", trackers, strict=True)
    ]
    statuses = rig.run(*cameras, stop=stop)
    shares = [sum(batch.count(name) for batch in rig.detector.batches) for name in "abcdefgh"]
    assert max(shares) <= 1.1 * min(shares)
    assert rig.detector.busy_seconds >= 0.95 * (rig.detector.busy_seconds + rig.detector.idle_seconds - within(0.1))
    period = 8 * SlowDetector.seconds
    assert np.percentile([age for tracker in trackers for age in tracker.ages], 95) <= 2 * within(period)
    for status in statuses:
        processed, came = status.rates
        assert processed < 0.5 * came
        assert status.skipped > 0


def test_a_camera_of_twice_the_priority_gets_twice_as_many_frames_detected():
    rig, stop = slow_rig(60)
    cameras = [
        rig.camera(name, lambda name=name: LiveSource(name, 60), is_recording=False, priority=priority)
        for name, priority in {"a": 2.0, "b": 1.0}.items()
    ]
    rig.run(*cameras, stop=stop)
    shares = [sum(batch.count(name) for batch in rig.detector.batches) for name in "ab"]
    assert 1.8 <= shares[0] / shares[1] <= 2.2


class HeldDetector(ScriptedDetector):
    """Holds its first batch until `free` is set."""

    free = None

    def detect(self, images):
        is_first = not self.batches
        found = super().detect(images)
        if is_first:
            self.free.wait(60)
        return found


class SentSource(FakeSource):
    """A live camera that sends a frame whenever `send` is called."""

    def __init__(self, name):
        super().__init__([make_frame(0, camera=name)], is_live=True)
        self.name, self.sent = name, threading.Semaphore(0)

    def send(self):
        self.sent.release()

    def __iter__(self):
        for index in range(10):
            if not self.sent.acquire(timeout=60):
                return
            yield replace(make_frame(index / 10, index=index, camera=self.name), arrived_seconds=time.monotonic())


@pytest.fixture
def held(wait_for):
    """Give a function that starts three cameras, lets the engine work on a frame of the first, and sends frames of others meanwhile."""
    free, stop = threading.Event(), threading.Event()
    threads = []

    def start(window_seconds, *then):
        rig = Rig(type("Detector", (HeldDetector,), {"free": free}), max_batch=2, batch_window_seconds=window_seconds)
        sources = {name: SentSource(name) for name in "abc"}
        cameras = [rig.camera(name, lambda source=source: source, is_recording=False) for name, source in sources.items()]
        threads.append(threading.Thread(target=rig.run, args=cameras, kwargs={"stop": stop}))
        threads[-1].start()
        sources["a"].send()
        wait_for(lambda: rig.detector is not None and rig.detector.batches)
        for name in then:
            sources[name].send()
        return rig, cameras

    yield start
    free.set()
    stop.set()
    for thread in threads:
        thread.join(60)


def test_a_batch_begins_while_the_engine_works_when_it_is_full(held, wait_for):
    rig, _ = held(60.0, "b", "c")
    wait_for(lambda: len(rig.detector.batches) == 2)
    assert sorted(rig.detector.batches[1]) == ["b", "c"]


def test_a_batch_that_is_not_full_begins_when_its_window_ends(held, wait_for):
    rig, _ = held(0.05, "b")
    wait_for(lambda: len(rig.detector.batches) == 2)
    assert rig.detector.batches == [["a"], ["b"]]


def test_a_batch_that_is_not_full_waits_until_then(held, wait_for):
    rig, cameras = held(60.0, "b")
    wait_for(lambda: len(cameras[1].reader.mailbox) == 1)
    time.sleep(0.2)
    assert rig.detector.batches == [["a"]]
    assert len(cameras[1].reader.mailbox) == 1


def test_a_camera_that_stalls_costs_the_others_nothing_while_the_engine_is_free():
    """The window is a minute, and no batch is ever full."""
    rig, stop = slow_rig(20, max_batch=3, batch_window_seconds=60.0)
    cameras = [rig.camera(name, lambda name=name: LiveSource(name, 20), is_recording=False) for name in "ab"]
    stalled = rig.camera("c", lambda: SentSource("c"), is_recording=False)
    began = time.monotonic()
    rig.run(*cameras, stalled, stop=stop)
    assert time.monotonic() - began < within(10)


def test_a_slow_engine_shows_a_live_camera_as_it_is_now_and_loses_nothing_of_a_file():
    """25 frames a second, of which the engine can take 5."""
    seconds = 0.2
    rig, stop = slow_rig(16)
    monitored = TimedTracker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SlowDetector, "seconds", seconds)
        (status,) = rig.run(rig.camera("a", lambda: LiveSource("a", 25), is_recording=False, tracker=monitored), stop=stop)
    assert np.percentile(monitored.ages, 99) <= within(2 * seconds)
    assert status.skipped > 2 * status.frames
    rig, _ = slow_rig(10**6)
    recorded = TimedTracker()
    frames = [make_frame(index / 25, index=index, camera="a") for index in range(50)]
    (status,) = rig.run(rig.camera("a", lambda: FakeSource(frames), tracker=recorded))
    assert (status.frames, status.skipped, recorded.numbers) == (50, 0, list(range(50)))


class Alive:
    """Counts the images that are alive."""

    def __init__(self):
        self.now = self.most = 0

    def image(self):
        image = np.zeros((36, 64, 3), np.uint8)
        self.now += 1
        self.most = max(self.most, self.now)
        weakref.finalize(image, self._end)
        return image

    def _end(self):
        self.now -= 1


class SlowSink(FakeSink):
    """Takes 0.2 s for every delivery."""

    def deliver(self, messages):
        time.sleep(0.2)
        return super().deliver(messages)


class SlowVideo:
    """Takes 0.05 s to write a frame."""

    path = None

    def write(self, frame, tracked, events):
        time.sleep(0.05)

    def request_stop(self):
        pass

    def close(self):
        pass


def test_with_a_slow_sink_and_slow_drawing_no_more_frames_are_kept():
    rig, stop = slow_rig(60, max_batch=2)
    alive = Alive()
    cameras = [
        rig.camera(
            name,
            lambda name=name: LiveSource(name, 100, images=alive.image),
            is_recording=False,
            make_video=lambda fps: SlowVideo(),
        )
        for name in "abcd"
    ]
    rig.run(*cameras, stop=stop, sinks=[SlowSink(), rig.sink])
    # Of each camera: one being made, one in its mailbox, one processed last; beside those, two batches in flight and one processed.
    assert alive.most <= 4 * 3 + 3 * 2


class Recording(FakeSource):
    """A recording of 60 frames, which it makes when they are taken."""

    def __init__(self, images):
        super().__init__([make_frame(0, camera="a")])
        self.images = images

    def __iter__(self):
        return (make_frame(index / 10, index=index, camera="a", image=self.images()) for index in range(60))


def test_with_slow_snapshots_no_more_frames_of_a_recording_are_kept(monkeypatch, tmp_path):
    def slow_rating(*arguments):
        time.sleep(0.05)
        return rate_snapshot(*arguments)

    monkeypatch.setattr(episode_media, "rate_snapshot", slow_rating)
    rig, alive, recorded = Rig(), Alive(), TimedTracker()
    store = MediaStore(StoreSettings(path=str(tmp_path), reserve_megabytes=0))
    settings = SnapshotSettings(max_side=64)

    def make_media():
        return EpisodeMedia(store, camera="a", snapshots=settings, clips=None, ring=None, is_recording=True)

    (status,) = rig.run(rig.camera("a", lambda: Recording(alive.image), tracker=recorded, make_media=make_media))
    assert (status.frames, len(recorded.numbers)) == (60, 60)
    # One being made, four decoded ahead, two batches in flight and one processed, eight that wait for a snapshot and one that is compared,
    # and the newest that reader, tracker and camera hold.
    assert 10 < alive.most <= 1 + 4 + 3 + 8 + 1 + 3


def test_frames_of_a_recording_stay_in_order_when_their_size_changes_within_a_batch():
    rig = Rig(max_batch=4, max_requests=2)
    tracker = TimedTracker()
    shapes = [(360, 640, 3), (640, 360, 3), (360, 640, 3)]
    frames = [make_frame(index / 10, index=index, camera="a", image=np.zeros(shapes[index % 3], np.uint8)) for index in range(24)]
    rig.run(rig.camera("a", lambda: FakeSource(frames), tracker=tracker))
    assert tracker.numbers == list(range(24))


def test_while_an_engine_opens_no_frame_of_a_live_camera_becomes_old():
    rig = Rig()
    open_engine = rig.pool._open

    def slowly(size):
        time.sleep(1.0)
        return open_engine(size)

    rig.pool._open = slowly
    tracker = TimedTracker()
    rig.run(rig.camera("a", lambda: LiveSource("a", 25), is_recording=False, tracker=tracker, max_frames=5))
    assert max(tracker.ages) < within(0.5)
    assert tracker.numbers[0] >= 20
