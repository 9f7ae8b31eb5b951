"""The loop: take frames, detect, track, keep episodes, put their events into the outbox.

While threads detect in some frames, the loop tracks in those before. Results come back in the order of the frames.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

from edge_hoi.detection import FixedSizeDetector
from edge_hoi.errors import EdgeHoiError, EngineError
from edge_hoi.masking import mask_traceback
from edge_hoi.outbox import Delivery
from edge_hoi.pipeline.camera import Camera
from edge_hoi.pipeline.detector_pool import DetectorPool
from edge_hoi.pipeline.status import CameraStatus
from edge_hoi.telemetry import StageTimer
from edge_hoi.types import EndReason, Event, Frame, Interactions

log = logging.getLogger(__name__)
log.addFilter(mask_traceback)

IDLE_WAIT_SECONDS = 0.01
FILE_WAIT_SECONDS = 0.2
STOP_SECONDS = 3.0
"""Longest wait for readers to stop; with what `Delivery` takes then, the program stops within 5 s."""


class Observer(Protocol):
    """Shows a run to a person."""

    def show_events(self, events: Sequence[Event]) -> None:
        """Show new events, which are in the outbox already."""

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        """Show each camera's status."""

    @property
    def is_due(self) -> bool:
        """Whether to show progress now."""


class _Batch(NamedTuple):
    """Frames of one shape and vocabulary, in which a thread detects."""

    detector: FixedSizeDetector
    taken: list[tuple[Camera, Frame]]
    found: Future[list[Interactions]]


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
        max_batch: int,
        max_requests: int,
        retry_unreachable_sources: bool,
    ) -> None:
        """Put the parts together; the pipeline closes them.

        Args:
            cameras: At least one.
            detectors: Detects in the frames of every camera.
            delivery: The outbox and its sinks.
            stages: Collects the wall time of each stage.
            max_batch: Most frames in one run of the engine.
            max_requests: Most runs of the engine at the same time.
            retry_unreachable_sources: Keep trying when the only sources left have never been reached.
        """
        self.cameras = tuple(cameras)
        self.delivery = delivery
        self.stages = stages
        self._detectors = detectors
        self._max_batch = max_batch
        # While the engine works on as many batches as it can, as many of recordings are preprocessed. A live camera's frame is not taken
        # before the engine is free for it: it would become old.
        self._most_in_flight = max_requests * (1 + all(camera.is_recording for camera in self.cameras))
        self._threads = ThreadPoolExecutor(self._most_in_flight, thread_name_prefix="detect")
        self._in_flight: deque[_Batch] = deque()
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
                camera.reader.start()
            while not stop.is_set() and self._is_any_running() and not self.delivery.all_sinks_failed:
                detected = self._take_detected()
                self._detect_more(stop, observer)
                if detected:
                    self._process(detected, observer)
                self._update_idle_cameras(observer)
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
        """Take the oldest batch if it is done, or if no more can be begun before it is."""
        if self._in_flight and (self._in_flight[0].found.done() or len(self._in_flight) >= self._most_in_flight):
            with self.stages.measure("wait for detections"):
                wait_for([self._in_flight[0].found])
            return self._in_flight.popleft()
        return None

    def _detect_more(self, stop: threading.Event, observer: Observer) -> None:
        """Begin to detect in the next frames, if there are any; else wait briefly for what comes first."""
        running = [camera for camera in self.cameras if not camera.is_done]
        is_lossless = all(camera.is_recording for camera in running)
        batch: list[tuple[Camera, Frame]] = []
        if not self._in_flight or not is_lossless or all(camera.has_next for camera in running):
            batch = self._take_frames(running, stop, waits=is_lossless)
        for detector, taken in self._by_detector(batch, observer).items():
            found = self._threads.submit(detector.detect, [frame.image for _, frame in taken])
            self._in_flight.append(_Batch(detector, taken, found))
        if not batch and self._in_flight:
            wait_for([self._in_flight[0].found], IDLE_WAIT_SECONDS)
        elif not batch and not is_lossless:
            stop.wait(IDLE_WAIT_SECONDS)

    def _take_frames(self, running: list[Camera], stop: threading.Event, *, waits: bool) -> list[tuple[Camera, Frame]]:
        """Take frames round robin until the batch is full or none is ready.

        Recordings are waited for, in order, so that a run over files is deterministic. Beside a live camera nothing is waited for.
        """
        batch: list[tuple[Camera, Frame]] = []
        with self.stages.measure("wait for frames"):
            for _ in range(max(1, self._max_batch // len(running))):
                taken = [(camera, frame) for camera in running if (frame := _next_frame(camera, stop, waits=waits)) is not None]
                batch += taken
                if not taken:
                    break
        return batch

    def _by_detector(self, batch: list[tuple[Camera, Frame]], observer: Observer) -> dict[FixedSizeDetector, list[tuple[Camera, Frame]]]:
        """Group frames by the detector for their shape and vocabulary, in order."""
        groups: dict[FixedSizeDetector, list[tuple[Camera, Frame]]] = {}
        for camera, frame in batch:
            try:
                detector = self._detectors.detector_for(frame.image, camera.vocabulary)
            except Exception as error:  # an engine that cannot open for one camera's frames is no failure of the others
                self._fail(camera, error, observer)
            else:
                groups.setdefault(detector, []).append((camera, frame))
        return groups

    def _process(self, batch: _Batch, observer: Observer) -> None:
        """Pass each camera the interactions of its frames."""
        try:
            seen = batch.found.result()
        except Exception as error:  # the cameras of other detectors go on
            for camera, _ in batch.taken:
                self._fail(camera, error, observer)
            return
        for (camera, frame), interactions in zip(batch.taken, seen, strict=True):
            if camera.is_done:  # an earlier frame was its last
                continue
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
        self._deliver(camera.end_episodes(EndReason.SOURCE_LOST), observer)

    def _update_idle_cameras(self, observer: Observer) -> None:
        """Finish cameras whose source has ended, and end the episodes of those that are disconnected."""
        busy = [camera for batch in self._in_flight for camera, _ in batch.taken]
        for camera in self.cameras:
            if not camera.is_done and camera not in busy and camera.reader.mailbox.is_finished:
                camera.is_done = True
                self._deliver(camera.end_episodes(EndReason.END_OF_STREAM if camera.is_at_end else EndReason.SOURCE_LOST), observer)
            elif not camera.is_done:
                self._deliver(camera.end_if_lost(), observer)
            elif not camera.reader.state.is_final:
                camera.reader.request_stop()
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
            self._deliver(camera.end_episodes(EndReason.SHUTDOWN), observer)

    def _stop_readers(self) -> None:
        """Stop all at once: several hung cameras take no longer than one."""
        for camera in self.cameras:
            camera.is_stopped = not camera.is_done
            camera.reader.request_stop()
        deadline = time.monotonic() + STOP_SECONDS
        for camera in self.cameras:
            camera.reader.stop(max(0.0, deadline - time.monotonic()))


def _next_frame(camera: Camera, stop: threading.Event, *, waits: bool) -> Frame | None:
    """Take a camera's next frame; with `waits`, block until it comes or the source or the run ends."""
    mailbox = camera.reader.mailbox
    while True:
        frame = mailbox.get(FILE_WAIT_SECONDS if waits else 0.0)
        if frame is not None or not waits or stop.is_set() or mailbox.is_finished:
            return frame
