"""Engines open beside the loop, and close when no camera needs them any more."""

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
