"""Cameras on scripted detections, and all that they share, for tests of the loop."""

import threading
from collections import defaultdict

from scripted import HUMAN, OBJECT, RIDE, VOCABULARY, make_frame, make_interactions, make_keeper, moved

from edge_hoi.errors import SourceError
from edge_hoi.ingest import FakeSource, RetryPolicy, SourceReader
from edge_hoi.outbox import Delivery, Outbox, Relay
from edge_hoi.pipeline.camera import Camera
from edge_hoi.pipeline.detector_pool import DetectorPool
from edge_hoi.pipeline.pipeline import Pipeline
from edge_hoi.runtime import FakeEngine, fake_manifest
from edge_hoi.sinks import FakeSink, RetrySettings
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker


class ScriptedDetector:
    """Sees the same ride in every frame, at a place that depends on the camera and the time."""

    def __init__(self, engine):
        self.engine = engine
        self.batches = []

    def detect(self, images):
        self.batches.append([image.camera for image in images])
        return [make_interactions([(*(moved(box, x=10 * image.pts_seconds) for box in (HUMAN, OBJECT)), RIDE, 0.9)]) for image in images]


class BrokenTracker(Tracker):
    def update(self, frame, interactions):
        raise ZeroDivisionError("made up")


class Watcher:
    def __init__(self, is_due=False):
        self.events, self.reports, self.is_due = [], [], is_due

    def show_events(self, events):
        self.events += events

    def show_progress(self, statuses):
        self.reports.append(statuses)


class Rig:
    """Cameras on one fake engine, and all that they share."""

    def __init__(self, detector=ScriptedDetector, **options):
        self.opened = []
        self.detector = None
        self.options = {"max_requests": 1, "batch_window_seconds": 0.0, "retry_unreachable_sources": False} | options
        self.pool = DetectorPool(self._open, self._make(detector), fake_manifest().input, max_batch=self.options.pop("max_batch", 1))
        self.sink = FakeSink()

    def _open(self, size):
        self.opened.append(FakeEngine(input_size=size))
        return self.opened[-1]

    def _make(self, detector):
        def make(engine, vocabulary):
            self.detector = detector(engine)
            return self.detector

        return make

    def camera(
        self,
        name,
        source,
        *,
        is_recording=True,
        tracker=None,
        max_frames=None,
        keeper=make_keeper,
        make_video=None,
        priority=1.0,
        gate=None,
        make_media=None,
        **options,
    ):
        return Camera(
            source_id=name,
            reader=SourceReader(source, source_id=name, retries=RetryPolicy(0.05, 0.1), **options),
            is_recording=is_recording,
            vocabulary=VOCABULARY,
            tracker=tracker or Tracker(),
            make_keeper=lambda engine: keeper(camera=name),
            make_video=make_video,
            lost_after_seconds=0.3,
            max_frames=max_frames,
            priority=priority,
            gate=gate,
            make_media=make_media,
        )

    def run(self, *cameras, stop=None, watcher=None, sinks=None, outbox=None):
        outbox = outbox or Outbox(None)
        quick = RetrySettings(initial_wait_seconds=0.01, max_wait_seconds=0.05)
        relays = [Relay(str(number), sink, outbox, retry=quick) for number, sink in enumerate(sinks or [self.sink])]
        self.delivery = Delivery(outbox, relays, drain_seconds=0.5)
        self.pipeline = Pipeline(cameras, self.pool, self.delivery, stages=StageTimer(), **self.options)
        return self.pipeline.run(stop or threading.Event(), watcher or Watcher())

    def events_by_camera(self):
        events = defaultdict(list)
        for event in self.sink.events:
            events[event.camera].append(event)
        return events


def recording(name, seconds=3.0, fps=10):
    return lambda: FakeSource([make_frame(index / fps, index=index, camera=name) for index in range(int(seconds * fps))])


def failing(code="unreachable", is_retryable=True):
    def open_source():
        raise SourceError("rtsp://nowhere: nobody answers", code=code, is_retryable=is_retryable)

    return open_source
