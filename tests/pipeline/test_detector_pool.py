"""Engines open beside the loop, and close when no camera needs them any more."""

import itertools
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from rig import Rig, ScriptedDetector
from scripted import VOCABULARY, make_frame

from edge_hoi.errors import EngineError
from edge_hoi.ingest import FakeSource
from edge_hoi.pipeline import detector_pool
from edge_hoi.pipeline.detector_pool import DetectorPool
from edge_hoi.runtime import FakeEngine, fake_manifest
from edge_hoi.tracking import Tracker

WIDE, TALL, SQUARE = (np.zeros(shape, np.uint8) for shape in ((360, 640, 3), (640, 360, 3), (480, 480, 3)))


class Opener:
    """Opens fake engines, and lists what it does."""

    def __init__(self):
        self.opened, self.closed, self.error = [], [], None

    def __call__(self, size):
        self.opened.append(size)
        if self.error is not None:
            raise self.error
        engine = FakeEngine(input_size=size, max_batch=8)
        close = engine.close

        def closing():
            self.closed.append(size)
            close()

        engine.close = closing
        return engine

    def pool(self, **options):
        return DetectorPool(self, lambda engine, vocabulary: ScriptedDetector(engine), fake_manifest().input, **options)


class Numbered(Tracker):
    """Counts the frames of each size."""

    def __init__(self):
        super().__init__()
        self.heights = []

    def update(self, frame, interactions):
        self.heights.append(frame.height)
        return super().update(frame, interactions)


class Turning(FakeSource):
    """A live camera of 50 frames a second, which is turned upright after 5 of them."""

    def __init__(self, name, turned):
        super().__init__([make_frame(0, camera=name)], is_live=True)
        self.name, self.turned = name, turned

    def __iter__(self):
        for index in range(100_000):
            time.sleep(0.02)
            image = self.turned if index >= 5 else WIDE
            yield replace(make_frame(index / 50, index=index, camera=self.name, image=image), arrived_seconds=time.monotonic())


def test_while_an_engine_opens_for_one_camera_the_others_go_on(wait_for):
    rig, free, stop = Rig(), threading.Event(), threading.Event()
    open_engine = rig.pool._open

    def slowly(size):
        assert size[0] < size[1] or free.wait(60)
        return open_engine(size)

    rig.pool._open = slowly
    turning, still = Numbered(), Numbered()
    cameras = [
        rig.camera("turning", lambda: Turning("turning", TALL), is_recording=False, tracker=turning),
        rig.camera("still", lambda: Turning("still", WIDE), is_recording=False, tracker=still),
    ]
    thread = threading.Thread(target=rig.run, args=cameras, kwargs={"stop": stop})
    thread.start()
    try:
        wait_for(lambda: cameras[0].reader.mailbox.dropped >= 5)  # frames of the new size have come
        count = len(still.heights)
        wait_for(lambda: len(still.heights) >= count + 20)
        assert set(turning.heights) == {360}
        free.set()
        wait_for(lambda: 640 in turning.heights)
    finally:
        free.set()
        stop.set()
        thread.join(60)


def test_an_engine_is_closed_when_another_opens_and_nobody_has_needed_it_for_a_while(monkeypatch):
    opener = Opener()
    pool = opener.pool()
    (wide, tall, square) = (pool._input_size(image.shape[1], image.shape[0]) for image in (WIDE, TALL, SQUARE))
    held = pool.detector_for(WIDE, VOCABULARY)
    pool.detector_for(TALL, VOCABULARY)
    assert opener.closed == []  # both were needed just now
    monkeypatch.setattr(detector_pool, "UNUSED_SECONDS", -1.0)
    pool.detector_for(SQUARE, VOCABULARY)
    assert opener.closed == [tall]
    assert pool.detector_for(WIDE, VOCABULARY) is held
    del held
    pool.detector_for(TALL, VOCABULARY)
    assert sorted(opener.closed) == sorted([tall, wide, square])
    assert opener.opened == [wide, tall, square, tall]
    pool.close()
    assert opener.closed[-1] == tall


def test_the_batch_is_measured_for_the_first_engine_alone():
    opener, measured = Opener(), []
    pool = opener.pool(max_batch=8, choose_batch=lambda engine: measured.append(engine.input_size) or 4)
    for image in (WIDE, TALL, SQUARE):
        pool.detector_for(image, VOCABULARY)
    assert measured == opener.opened[:1]
    assert pool.max_batch == 4


def test_an_engine_that_takes_smaller_batches_than_the_first_limits_them():
    opener = Opener()
    pool = opener.pool(max_batch=8, choose_batch=lambda engine: 4)
    pool.detector_for(WIDE, VOCABULARY)
    pool._open = lambda size: FakeEngine(input_size=size, max_batch=1)
    pool.detector_for(TALL, VOCABULARY)
    assert pool.max_batch == 1


def test_an_engine_that_could_not_be_opened_is_tried_again():
    opener = Opener()
    pool = opener.pool()
    opener.error = EngineError("no memory")
    with pytest.raises(EngineError, match="no memory"):
        pool.detector_for(WIDE, VOCABULARY)
    opener.error = None
    assert pool.detector_for(WIDE, VOCABULARY).engine.input_size == opener.opened[0]
    assert len(opener.opened) == 2


def test_an_engine_whose_batch_cannot_be_measured_is_closed():
    opener = Opener()

    def fail(engine):
        raise EngineError("made up")

    pool = opener.pool(max_batch=8, choose_batch=fail)
    with pytest.raises(EngineError, match="made up"):
        pool.detector_for(WIDE, VOCABULARY)
    assert opener.closed == opener.opened


def test_closing_ends_what_is_opening_and_begins_nothing_more():
    opener, free = Opener(), threading.Event()
    pool = opener.pool()
    pool._open = lambda size: opener(size) if free.wait(60) else None
    first, second = (pool.begin_to_open(*image.shape[:2]) for image in (WIDE, TALL))
    closing = threading.Thread(target=pool.close)
    closing.start()
    free.set()
    closing.join(60)
    assert first.done()
    assert second.cancelled() or len(opener.opened) == 2
    assert opener.closed == opener.opened
    assert pool.detector_for(WIDE, VOCABULARY)
    pool.close()
    assert opener.closed == opener.opened


@pytest.mark.parametrize("closes", ["pool", "another that opens"])
def test_an_engine_that_is_closed_before_its_caller_takes_it_is_opened_again(closes):
    opener = Opener()
    pool = opener.pool()
    begin, size = pool.begin_to_open, pool._input_size(640, 360)

    def begin_and_lose_it(height, width):
        opening = begin(height, width)
        opening.result()
        if len(opener.opened) == 1:
            if closes == "pool":
                pool.close()
            else:
                pool._used_at[size] -= detector_pool.UNUSED_SECONDS + 1
                begin(*TALL.shape[:2]).result()
        return opening

    pool.begin_to_open = begin_and_lose_it
    detector = pool.detector_for(WIDE, VOCABULARY)
    assert opener.closed == [size]
    assert opener.opened.count(size) == 2
    assert detector.engine is pool._engines[size].result()
    assert pool.detector_for(WIDE, VOCABULARY) is detector


def test_who_waits_for_an_engine_that_a_close_cancels_has_it_opened_again():
    opener, free = Opener(), threading.Event()
    pool = opener.pool()
    pool._open = lambda size: opener(size) if free.wait(60) else None
    pool.begin_to_open(*TALL.shape[:2])
    begin, begun, found = pool.begin_to_open, threading.Event(), []
    pool.begin_to_open = lambda height, width: (begin(height, width), begun.set())[0]
    waiting = threading.Thread(target=lambda: found.append(pool.detector_for(WIDE, VOCABULARY)))
    waiting.start()
    assert begun.wait(60)
    opening = pool._engines[pool._input_size(640, 360)]
    closing = threading.Thread(target=pool.close)
    closing.start()
    try:
        while not opening.cancelled():
            time.sleep(0.001)
    finally:
        free.set()
        closing.join(60)
        waiting.join(60)
    assert [detector.engine.input_size for detector in found] == [opener.opened[-1]]
    assert opener.closed == opener.opened[:1]


def test_an_engine_that_took_long_to_open_counts_as_used_from_then_on(monkeypatch):
    opener, seconds = Opener(), [0.0]
    pool = opener.pool()
    monkeypatch.setattr(detector_pool.time, "monotonic", lambda: seconds[0])

    def slowly(size):
        seconds[0] += detector_pool.UNUSED_SECONDS + 1
        return opener(size)

    pool._open = slowly
    first = pool.begin_to_open(*WIDE.shape[:2])
    first.result()
    pool._open = opener
    pool.begin_to_open(*TALL.shape[:2]).result()
    assert opener.closed == []
    seconds[0] += detector_pool.UNUSED_SECONDS + 1
    pool.begin_to_open(*SQUARE.shape[:2]).result()
    assert sorted(opener.closed) == sorted(opener.opened[:2])


def test_of_many_engines_the_least_recently_used_that_nobody_has_are_closed(monkeypatch):
    monkeypatch.setattr(detector_pool, "MOST_OPEN", 3)
    opener, ticks = Opener(), itertools.count()
    monkeypatch.setattr(detector_pool.time, "monotonic", lambda: next(ticks) / 1000)
    pool = opener.pool()
    held = pool.detector_for(WIDE, VOCABULARY)
    pool.detector_for(TALL, VOCABULARY)
    pool.detector_for(SQUARE, VOCABULARY)
    pool.detector_for(TALL, VOCABULARY)
    assert opener.closed == []
    _, tall, square = opener.opened
    pool.detector_for(np.zeros((200, 1200, 3), np.uint8), VOCABULARY)
    assert opener.closed == [square]
    pool.detector_for(np.zeros((1200, 200, 3), np.uint8), VOCABULARY)
    assert opener.closed == [square, tall]
    assert pool.detector_for(WIDE, VOCABULARY) is held
    assert len(set(opener.opened)) == 5


@pytest.mark.parametrize("fails", ["opening", "closing"])
def test_whatever_fails_in_one_engine_the_others_are_closed(monkeypatch, fails):
    opener = Opener()
    pool = opener.pool()
    for close in (pool.close, lambda: (monkeypatch.setattr(detector_pool, "UNUSED_SECONDS", -1.0), pool.begin_to_open(480, 480).result())):
        if fails == "opening":
            opener.error = ValueError("made up")
            opening = pool.begin_to_open(*WIDE.shape[:2])
            assert opening.exception() is opener.error
            opener.error = None
        else:
            engine = pool.begin_to_open(*WIDE.shape[:2]).result()
            engine.close = lambda: 1 / 0
        pool.begin_to_open(*TALL.shape[:2]).result()
        opener.closed.clear()
        close()
        assert opener.closed == [pool._input_size(360, 640)]
