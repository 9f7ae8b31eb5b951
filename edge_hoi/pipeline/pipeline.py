"""The loop: take frames, detect, track, keep episodes, put their events into the outbox.

While threads detect in some frames, the loop tracks in those before. Each camera's frames are processed in their order, and those of
recordings in one order over all of them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

from edge_hoi.detection import FixedSizeDetector
from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.masking import get_logger
from edge_hoi.outbox import Delivery
from edge_hoi.pipeline.camera import Camera
from edge_hoi.pipeline.camera_watch import CameraWatch
from edge_hoi.pipeline.detector_pool import DetectorPool
from edge_hoi.pipeline.status import CameraStatus
from edge_hoi.pipeline.turns import Turns
from edge_hoi.telemetry import StageTimer
from edge_hoi.types import EndReason, Event, Frame, Interactions

log = get_logger(__name__)

IDLE_WAIT_SECONDS = 0.01
FILE_WAIT_SECONDS = 0.2
END_WAIT_SECONDS = 0.005
STOP_SECONDS = 3.0
"""Longest wait for readers to stop; with what `Delivery` takes then, the program stops within 5 s, unless an engine
is opening, which cannot be interrupted."""


class Observer(Protocol):
    """Shows a run to a person."""

    def show_events(self, events: Sequence[Event]) -> None:
        """Show new events, which are in the outbox already."""

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        """Show each camera's status."""

    @property
    def is_due(self) -> bool:
        """Whether to show progress now."""


class _Taken(NamedTuple):
    """A camera's frame, and whether to detect in it."""

    camera: Camera
    frame: Frame
    is_selected: bool


class _Batch(NamedTuple):
    """Frames of one shape and vocabulary; a thread detects in those that are selected."""

    detector: FixedSizeDetector
    taken: list[_Taken]
    found: Future[list[Interactions]]

    @property
    def cameras(self) -> set[Camera]:
        """Whose frames they are."""
        return {each.camera for each in self.taken}


_NOTHING: Future[list[Interactions]] = Future()
_NOTHING.set_result([])


class Pipeline:
    """Runs cameras until all have ended or it is stopped.

    Attributes:
        cameras: The cameras.
        delivery: The outbox and the sinks.
        stages: Wall time of each stage in the loop.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        detectors: DetectorPool,
        delivery: Delivery,
        *,
        stages: StageTimer,
        max_requests: int,
        batch_window_seconds: float,
        retry_unreachable_sources: bool,
        closes_detectors: bool = True,
        watch: CameraWatch | None = None,
    ) -> None:
        """Put the parts together; the pipeline closes them.

        Args:
            cameras: At least one.
            detectors: Detects in the frames of every camera.
            delivery: The outbox and its sinks.
            stages: Collects the wall time of each stage.
            max_requests: Most runs of the engine at the same time.
            batch_window_seconds: Longest wait of live cameras' frames for a full batch while the engine works.
            retry_unreachable_sources: Keep trying when the only sources left have never been reached.
            closes_detectors: Whether `detectors` are closed as well, or shared with other pipelines.
            watch: Makes the events of cameras; None for none.
        """
        self.cameras = tuple(cameras)
        self.delivery = delivery
        self.stages = stages
        self._detectors = detectors
        self._closes_detectors = closes_detectors
        self._watch = watch
        self._unreported: set[Camera] = set()
        self._batch_window_seconds = batch_window_seconds
        self._window_ends_seconds = 0.0
        self._turns = Turns()
        # While the engine works on as many batches as it can, as many of recordings are preprocessed, and one of several live cameras. A
        # single live camera's frame is not taken before the engine is free for it: it would become old.
        self._is_in_order = all(camera.is_recording for camera in self.cameras)
        self._most_in_flight = 2 * max_requests if self._is_in_order else max_requests + (len(self.cameras) > 1)
        self._threads = ThreadPoolExecutor(self._most_in_flight, thread_name_prefix="detect")
        self._in_flight: deque[_Batch] = deque()
        self._wakes = threading.Event()  # set when a frame or a detection has come
        self._is_display_broken = False
        self._retry_unreachable_sources = retry_unreachable_sources

    def run(self, stop: threading.Event, observer: Observer) -> tuple[CameraStatus, ...]:
        """Run until every source has ended, or `stop` is set.

        One camera's failure ends that camera only, and a failing sink is retried in its own thread. Whatever ends the run, every open
        episode emits `ended`, and every sink and file is closed.

        Args:
            stop: Set it, from any thread or signal handler, to end the run.
            observer: Shows events and progress.

        Returns:
            Each camera's final status.

        Raises:
            EngineError: The engine cannot be opened or run for any camera.
        """
        with ExitStack() as cleanup:
            if self._closes_detectors:
                cleanup.callback(self._detectors.close)
            cleanup.callback(self._threads.shutdown, cancel_futures=True)
            cleanup.callback(self.delivery.close)
            for camera in self.cameras:
                cleanup.callback(camera.close)
            cleanup.callback(self.delivery.finish, stop)
            cleanup.callback(self._end_all, observer)
            cleanup.callback(self._stop_readers)
            self.delivery.start()
            for camera in self.cameras:
                camera.reader.mailbox.on_change = self._wakes.set
                camera.reader.start()
            while not stop.is_set() and self._is_any_running() and not self.delivery.all_sinks_failed:
                self._wakes.clear()
                detected = self._take_detected()
                is_begun = self._detect_more(stop, observer)
                if detected:
                    self._process(detected, observer)
                elif not is_begun:
                    self._wakes.wait(IDLE_WAIT_SECONDS)
                self._update_idle_cameras(observer)
                self._watch_cameras()
                if observer.is_due:
                    self._show(observer.show_progress, self.statuses())
        failures = [camera.failure for camera in self.cameras]
        if isinstance(failures[0], EngineError) and all(isinstance(failure, EngineError) for failure in failures):
            raise failures[0]
        return self.statuses()

    def statuses(self) -> tuple[CameraStatus, ...]:
        """Report every camera's status."""
        return tuple(camera.status() for camera in self.cameras)

    def _is_any_running(self) -> bool:
        return any(not camera.is_done for camera in self.cameras)

    def _take_detected(self) -> _Batch | None:
        """Take the oldest batch that may be processed; where no more can be begun before one is done, wait for it."""
        unfinished = [batch.found for batch in self._in_flight if not batch.found.done()]
        if unfinished and (len(unfinished) >= self._most_in_flight or len(self._in_flight) >= 2 * self._most_in_flight):
            with self.stages.measure("wait for detections"):
                wait_for(unfinished[:1] if self._is_in_order else unfinished, return_when=FIRST_COMPLETED)
        earlier: set[Camera] = set()
        for batch in self._in_flight:
            if batch.found.done() and earlier.isdisjoint(batch.cameras):
                self._in_flight.remove(batch)
                return batch
            earlier.update(self.cameras if self._is_in_order else batch.cameras)
        return None

    def _detect_more(self, stop: threading.Event, observer: Observer) -> bool:
        """Begin to detect in the next frames; return whether there are any."""
        running = [camera for camera in self.cameras if not camera.is_done]
        if all(camera.is_recording for camera in running):
            taken = self._take_of_recordings(running, stop, observer)
        else:
            taken = self._take_newest(running, observer)
        for detector, frames in self._by_detector(taken, observer):
            images = [each.frame.pixels for each in frames if each.is_selected]
            found = self._threads.submit(detector.detect, images) if images else _NOTHING
            found.add_done_callback(lambda _: self._wakes.set())
            self._in_flight.append(_Batch(detector, frames, found))
        return bool(taken)

    def _take_of_recordings(self, running: list[Camera], stop: threading.Event, observer: Observer) -> list[_Taken]:
        """Take frames round robin until the batch is full.

        They are waited for, in order, so that a run over files is deterministic; but for none while the engine works.
        """
        if self._in_flight and not all(camera.has_next for camera in running):
            return []
        batch: list[_Taken] = []
        with self.stages.measure("wait for frames"):
            for _ in range(max(1, self._detectors.max_batch // len(running))):
                frames = [(camera, frame) for camera in running if (frame := _next_frame(camera, stop)) is not None]
                for camera, frame in frames:
                    batch += self._select(camera, frame, observer)
                if not frames:
                    break
        return batch

    def _take_newest(self, running: list[Camera], observer: Observer) -> list[_Taken]:
        """Take the newest frames of the cameras whose turn it is, until the batch is full or no frame is left.

        A batch that is not full is begun when the engine is idle, or when its frames have waited for `batch_window_seconds`.
        """
        waiting = [camera for camera in self._turns.order(running) if len(camera.reader.mailbox)]
        room, now = self._detectors.max_batch, time.monotonic()
        is_idle = all(batch.found.done() for batch in self._in_flight)
        if not waiting or is_idle or len(waiting) >= min(room, len(running)):
            self._window_ends_seconds = now + self._batch_window_seconds
        elif now < self._window_ends_seconds:
            return []
        batch: list[_Taken] = []
        for camera in waiting:
            frame = camera.reader.mailbox.take(self._has_engine)
            for taken in [] if frame is None else self._select(camera, frame, observer):
                batch.append(taken)
                if taken.is_selected:
                    self._turns.count(camera)
                    room -= 1
            if not room:
                break
        return batch

    def _has_engine(self, frame: Frame) -> bool:
        """Have the engine for a frame opened before it is taken: it would become old meanwhile, and other cameras would wait."""
        return self._detectors.begin_to_open(frame.height, frame.width).done()

    def _select(self, camera: Camera, frame: Frame, observer: Observer) -> list[_Taken]:
        """Find out whether to detect in a frame; return nothing if that fails."""
        try:
            return [_Taken(camera, frame, camera.selects(frame))]
        except Exception as error:  # one camera's pictures must not stop the others
            self._fail(camera, error, observer)
            return []

    def _by_detector(self, batch: list[_Taken], observer: Observer) -> Iterator[tuple[FixedSizeDetector, list[_Taken]]]:
        """Group frames by the detector for their shape and vocabulary; each camera's stay in order."""
        groups: dict[FixedSizeDetector, list[_Taken]] = {}
        detector_of: dict[Camera, FixedSizeDetector] = {}
        for taken in batch:
            try:
                detector = self._detectors.detector_for(taken.frame.pixels, taken.camera.vocabulary)
            except Exception as error:  # an engine that cannot open for one camera's frames is no failure of the others
                self._fail(taken.camera, error, observer)
                continue
            if detector_of.setdefault(taken.camera, detector) is not detector:  # the size of its frames has changed
                yield from groups.items()
                groups, detector_of = {}, {taken.camera: detector}
            groups.setdefault(detector, []).append(taken)
        yield from groups.items()

    def _process(self, batch: _Batch, observer: Observer) -> None:
        """Pass each camera its frames, with what was detected in them."""
        try:
            found = iter(batch.found.result())
        except Exception as error:  # the cameras of other detectors go on
            for camera, _, _ in batch.taken:
                self._fail(camera, error, observer)
            return
        for camera, frame, is_selected in batch.taken:
            interactions = next(found) if is_selected else None
            if camera.is_done:  # an earlier frame was its last
                continue
            if camera.is_ending:
                self._deliver(camera.finish_ends(), observer)
            try:
                events = camera.process(frame, interactions, batch.detector.engine, self.stages)
            except Exception as error:  # whatever goes wrong in one camera's part must not stop the others
                self._fail(camera, error, observer)
            else:
                self._deliver(events, observer)
                camera.draw(frame, events, self.stages)

    def _fail(self, camera: Camera, error: Exception, observer: Observer) -> None:
        if camera.is_done:
            return
        if not isinstance(error, EdgeHoiError):
            log.error("camera %s failed", camera.source_id, exc_info=error)
        camera.fail(error)
        self._end(camera, EndReason.SOURCE_LOST, observer)

    def _update_idle_cameras(self, observer: Observer) -> None:
        """Finish cameras whose source has ended, and end the episodes of those that are disconnected."""
        busy = {camera for batch in self._in_flight for camera in batch.cameras}
        for camera in self.cameras:
            if not camera.is_done and camera not in busy and camera.reader.mailbox.is_finished:
                camera.is_done = True
                self._end(camera, EndReason.END_OF_STREAM if camera.is_at_end else EndReason.SOURCE_LOST, observer)
            elif not camera.is_done:
                try:
                    events = camera.end_if_lost()
                except Exception as error:  # as in `_process`
                    self._fail(camera, error, observer)
                else:
                    self._deliver(events, observer)
            elif not camera.reader.state.is_final:
                camera.reader.request_stop()
        self._finish_ends(observer)
        waiting = [camera for camera in self.cameras if not camera.is_done]
        if not self._retry_unreachable_sources and all(camera.is_out_of_reach for camera in waiting):
            for camera in waiting:
                camera.fail(camera.reader.error)

    def _deliver(self, events: list[Event], observer: Observer) -> None:
        if events:
            with self.stages.measure("deliver"):
                self.delivery.put(events)
            self._show(observer.show_events, events)

    def _show(self, show: Callable[[Any], None], what: object) -> None:
        """Show something to a person; a display that fails never stops a run."""
        try:
            show(what)
        except Exception as error:
            if not self._is_display_broken:
                log.warning("cannot show the run (%s: %s); it goes on", type(error).__name__, error)
            self._is_display_broken = True

    def _end_all(self, observer: Observer) -> None:
        for camera in self.cameras:
            self._end(camera, EndReason.SHUTDOWN, observer)
        while self._finish_ends(observer):
            time.sleep(END_WAIT_SECONDS)
        for camera in self.cameras:
            camera.request_stop()
        self._watch_cameras()

    def _end(self, camera: Camera, reason: EndReason, observer: Observer) -> None:
        """End a camera's episodes, whatever fails in it."""
        self._deliver(_events_of(camera, reason, lambda: camera.end_episodes(reason)), observer)

    def _finish_ends(self, observer: Observer) -> bool:
        """Deliver the events of cameras that have ended, which waited for images and videos; return whether any wait still."""
        for camera in self.cameras:
            if camera.is_ending:
                self._deliver(_events_of(camera, EndReason.SOURCE_LOST, camera.poll), observer)
        return any(camera.is_ending for camera in self.cameras)

    def _watch_cameras(self) -> None:
        if self._watch is None:
            return
        for camera in self.cameras:
            try:
                if events := self._watch.update([camera]):
                    self.delivery.put(events)
            except Exception:  # watching must go on
                if camera not in self._unreported:
                    log.exception("camera %s: whether it is up cannot be reported; its other events are not affected", camera.source_id)
                self._unreported.add(camera)

    def _stop_readers(self) -> None:
        """Stop all at once: several hung cameras take no longer than one."""
        for camera in self.cameras:
            camera.is_stopped = not camera.is_done
            camera.reader.request_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for camera in self.cameras:
            camera.reader.stop(max(0.0, deadline - time.monotonic()))


def _events_of(camera: Camera, reason: EndReason, end: Callable[[], list[Event]]) -> list[Event]:
    """Return the events of what ends a camera's episodes; if it fails, they end as they were last emitted, and the others go on."""
    try:
        return end()
    except Exception:
        log.exception("camera %s: its episodes end as they were last emitted", camera.source_id)
        return camera.abandon_episodes(reason)


def _next_frame(camera: Camera, stop: threading.Event) -> Frame | None:
    """Wait for a recording's next frame; return None if there is none, or the run ends."""
    mailbox = camera.reader.mailbox
    while True:
        frame = mailbox.get(FILE_WAIT_SECONDS)
        if frame is not None or stop.is_set() or mailbox.is_finished:
            return frame
