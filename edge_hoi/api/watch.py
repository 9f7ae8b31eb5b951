"""Watch sources: the same pipeline as `edge-hoi run`, as an iterator of events."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from typing_extensions import Self

from edge_hoi.api.settings import SourceLike, VocabularyLike, config_path, note, run_config
from edge_hoi.config import RunConfig
from edge_hoi.errors import ConfigError, EdgeHoiError
from edge_hoi.pipeline import CameraStatus, Pipeline, build_pipeline
from edge_hoi.runtime import Device
from edge_hoi.types import Event

_QUEUED_EVENTS = 1000
_POLL_SECONDS = 0.2
_ASYNC_POLL_SECONDS = 0.02


class Watch:
    """Runs a pipeline in a thread of its own; iterate it, or `async for`, for its events. A context manager, also asynchronous.

    Whoever takes events too slowly slows a recording down; live sources then skip frames.
    """

    def __init__(self, config: RunConfig, config_file: Path | None = None) -> None:
        """Build and start the pipeline. See `watch`."""
        if not config.sources:
            raise ConfigError("nothing to watch: name a source, such as edge_hoi.watch('street.mp4')")
        self._pipeline = build_pipeline(config, note=note, config_file=config_file)
        self._observer = _EventQueue()
        self._stopping = threading.Event()
        # The thread holds no reference to this object, so that one that is no longer used can be collected, and ends the run.
        arguments = (self._pipeline, self._stopping, self._observer)
        self._thread = threading.Thread(target=_run, args=arguments, name="edge-hoi-watch", daemon=True)
        self._thread.start()

    @property
    def statuses(self) -> tuple[CameraStatus, ...]:
        """Each camera's figures as of now."""
        return self._pipeline.statuses()

    @property
    def lost(self) -> list[str]:
        """Events that were dropped or not delivered, one line per sink and reason; complete once the run has ended."""
        return self._pipeline.delivery.lost()

    def stop(self) -> None:
        """End the run in order, from any thread: open episodes emit `ended`, which the iteration still returns."""
        self._stopping.set()

    def close(self) -> None:
        """Stop, drop the events not taken, and wait until sources, engine and sinks are closed."""
        self.stop()
        while self._thread.is_alive():
            while not self._observer.events.empty():
                self._observer.events.get_nowait()
            self._thread.join(_POLL_SECONDS)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        while (event := self._take(_POLL_SECONDS)) is None:
            pass
        return event

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        # Polled, not awaited in another thread: that would go on after a cancellation, and lose the event it then takes.
        try:
            while (event := self._take(0)) is None:
                await asyncio.sleep(_ASYNC_POLL_SECONDS)
        except StopIteration:
            raise StopAsyncIteration from None
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.stop()
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def __del__(self) -> None:
        if "_thread" in self.__dict__:
            self._stopping.set()
            self._observer.is_abandoned.set()

    def _take(self, timeout: float) -> Event | None:
        """Take an event, or None if there is none within the time; StopIteration or the run's error if none will come."""
        is_over = not self._thread.is_alive()  # asked first: what it put before it ended is in the queue
        try:
            return self._observer.events.get(timeout=0 if is_over else timeout)
        except queue.Empty:
            if is_over:
                self._raise_failure()
                raise StopIteration from None
            return None

    def _raise_failure(self) -> None:
        error, self._observer.error = self._observer.error, None
        if error is not None:
            raise error
        failures = [camera.failure for camera in self._pipeline.cameras]
        if all(failures) and not self._stopping.is_set():
            raise failures[0] if isinstance(failures[0], EdgeHoiError) else EdgeHoiError(str(failures[0]))


class _EventQueue:
    """Observes a run and queues its events."""

    is_due = False

    def __init__(self) -> None:
        self.events: queue.Queue[Event] = queue.Queue(_QUEUED_EVENTS)
        self.is_abandoned = threading.Event()
        self.error: BaseException | None = None

    def show_events(self, events: Sequence[Event]) -> None:
        for event in events:
            while not self.is_abandoned.is_set():
                try:
                    self.events.put(event, timeout=_POLL_SECONDS)
                    break
                except queue.Full:
                    continue

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        """Show nothing."""


def _run(pipeline: Pipeline, stopping: threading.Event, observer: _EventQueue) -> None:
    try:
        pipeline.run(stopping, observer)
    except BaseException as error:
        observer.error = error


def watch(
    source: SourceLike,
    *,
    engine: str | Path | None = None,
    vocabulary: VocabularyLike | None = None,
    device: Device | None = None,
    max_frames: int | None = None,
    allow_demo_engine: bool | None = None,
) -> Watch:
    """Watch sources with the same pipeline as `edge-hoi run`, and iterate the events: started, updated, ended.

    Args:
        source: Video file, folder of images, URL, device, or a list of these; the path of a YAML configuration; or a `RunConfig`.
        engine: Name of an engine, or its folder; where absent, `default` for the embedded clip, and for others `photo`, which is
            fetched once.
        vocabulary: `hico_det`, `vcoco`, a YAML file, or a list of phrases; the engine's own where absent.
        device: Where the engine runs; see `open_engine`.
        max_frames: Stop after so many frames of each source.
        allow_demo_engine: Let an engine that knows rendered images only run on live sources.

    Returns:
        An iterator of `Event`, also for `async for`, to be used as a context manager where it may end early.

    Raises:
        ConfigError: A value or the vocabulary is not usable.
        DownloadError: The engine is `photo`, and cannot or may not be fetched.
        EngineError: The engine is missing, damaged, or not meant for live sources.
        DeliveryError: The outbox or a sink's file cannot be opened.
        SourceError: While iterating: no source can be read.
    """
    config = run_config(
        source,
        engine={"path": engine and str(engine), "device": device, "allow_demo": allow_demo_engine},
        vocabulary=vocabulary,
        max_frames=max_frames,
    )
    return Watch(config, config_file=config_path(source))
