"""Events of many recordings in one file: a few at a time, each of them whole, and continued after a stop.

A recording's events are written to a file of their own, `EVENTS.parts/NAME.jsonl`. `state.json` beside it lists the recordings that are
finished. So a recording is in the result once or not at all, and what was stopped begins again and yields the same events.
"""

import glob
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edge_hoi import __version__
from edge_hoi.config import RunConfig, SourceConfig
from edge_hoi.errors import ConfigError, DeliveryError, EdgeHoiError
from edge_hoi.ingest import source_kind
from edge_hoi.ingest.url import IMAGE_SUFFIXES, VIDEO_SUFFIXES, SourceKind, is_local, local_path
from edge_hoi.outbox import OutboxSettings
from edge_hoi.overwriting import refuse_overwriting
from edge_hoi.pipeline.build import build_pipeline
from edge_hoi.pipeline.detector_builder import DetectorBuilder
from edge_hoi.pipeline.pipeline import Observer
from edge_hoi.pipeline.source_names import name_sources
from edge_hoi.pipeline.status import CameraStatus
from edge_hoi.sinks import JsonlSettings
from edge_hoi.sinks.event_files import write_event_file
from edge_hoi.sinks.local_file import lock_file
from edge_hoi.telemetry import StageTimer
from edge_hoi.unfinished import writing_file

Outcome = Literal["complete", "incomplete", "failed", "stopped"]

_STATE = "state.json"
_CORES_PER_RECORDING = 2
_MOST_AT_A_TIME = 4
_WAIT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of a list.

    Attributes:
        source: Its entry of the configuration.
        source_id: Its name in events.
        size: In bytes.
        modified: When it was written last, in nanoseconds since 1970.
    """

    source: SourceConfig
    source_id: str
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """What became of a recording.

    Attributes:
        source_id: Its name in events.
        outcome: `complete` every frame was read; `incomplete` it was read to its end, but frames are missing or damaged; `failed` with an
            `error`; `stopped` before its end.
        frames: Frames processed.
        seconds: Media time of the last of them.
        duration_seconds: Declared length; None where unknown.
        damaged: Frames that are damaged or could not be decoded.
        events: Events emitted.
        error: Why it failed, or why it ended early.
        exit_code: Of `edge-hoi run` for this failure; 0 without one.
        is_earlier: Whether an earlier run finished it.
    """

    source_id: str
    outcome: Outcome
    frames: int = 0
    seconds: float = 0.0
    duration_seconds: float | None = None
    damaged: int = 0
    events: int = 0
    error: str | None = None
    exit_code: int = 0
    is_earlier: bool = False


def expand_sources(sources: Sequence[SourceConfig]) -> list[SourceConfig] | None:
    """Replace folders of videos and patterns by their files.

    Args:
        sources: Sources. A folder with images is a source of its own.

    Returns:
        A source for each file, in order and each file once, and the other sources; None if there is no such folder or pattern.

    Raises:
        ConfigError: A pattern matches no file.
    """
    groups = [_files_of(source.url) for source in sources]
    if not any(groups):
        return None
    expanded: dict[str, SourceConfig] = {}
    for source, files in zip(sources, groups, strict=True):
        for url in files or [source.url]:
            expanded.setdefault(os.path.realpath(url), source.model_copy(update={"url": url, "id": None if files else source.id}))
    return list(expanded.values())


def _files_of(url: str) -> list[str]:
    """List the files of a folder or pattern; none of what is neither."""
    if not is_local(url):
        return []
    path = local_path(url)
    if path.is_dir():
        names = sorted(path.iterdir())
        has_images = any(name.suffix.lower() in IMAGE_SUFFIXES for name in names)
        return [] if has_images else [str(name) for name in names if name.suffix.lower() in VIDEO_SUFFIXES and name.is_file()]
    if path.exists() or not glob.has_magic(url):
        return []
    files = sorted(name for name in glob.glob(url, recursive=True) if os.path.isfile(name))  # noqa: PTH207, PTH113 -- of any root
    if not files:
        raise ConfigError(f"no file matches {url}; check the pattern, and its quotes")
    return [name for name in files if Path(name).suffix.lower() in VIDEO_SUFFIXES] or files


def describe_recordings(sources: Sequence[SourceConfig]) -> list[Recording]:
    """Name recordings and look up their sizes.

    Raises:
        ConfigError: One is no file of video.
    """
    recordings = []
    for source, source_id in zip(sources, name_sources([(source.id, source.url) for source in sources]), strict=True):
        if not is_local(source.url) or source_kind(source.url) is not SourceKind.FILE or source.mode == "live":
            raise ConfigError(
                f"source {source_id} is no recording: only files of video can be listed, written as .csv or .parquet, and resumed; "
                "give cameras a run of their own, with events as .jsonl or a sink of type parquet"
            )
        path = local_path(source.url)
        found = path.stat() if path.exists() else None  # what is missing fails alone, when it is opened
        recordings.append(Recording(source, source_id, found.st_size if found else 0, found.st_mtime_ns if found else 0))
    return recordings


def at_a_time() -> int:
    """Return how many recordings are processed at the same time: decoding takes a core, and the engine the others."""
    return max(1, min(_MOST_AT_A_TIME, (os.cpu_count() or 1) // _CORES_PER_RECORDING))


def run_recordings(
    config: RunConfig,
    recordings: Sequence[Recording],
    events: Path,
    *,
    stop: threading.Event,
    observer_of: Callable[[Recording], Observer],
    finished: Callable[[RecordingResult], None],
    note: Callable[[str], None],
    config_file: Path | None = None,
    resume: bool = False,
    jobs: int | None = None,
) -> list[RecordingResult]:
    """Process recordings, and write the events of all to one file, in the order of the list, unless stopped.

    Args:
        config: What to do with each; its sources and sinks are not used.
        recordings: The list.
        events: The file of events.
        stop: Set it to end the run.
        observer_of: Makes what shows a recording's progress, in several threads.
        finished: Called with each result, also of earlier runs.
        note: Called with messages for the user.
        config_file: Where the configuration was read, which no output may overwrite.
        resume: Leave out what an earlier run with the same settings finished, if the files are the same.
        jobs: How many are processed at the same time; None for `at_a_time`.

    Returns:
        A result for each recording.

    Raises:
        ConfigError: The earlier run had other settings, another run is writing, or an output would overwrite an input.
        DeliveryError: The events cannot be written.
        EngineError: The engine cannot be opened.
    """
    inputs = [(f"source {each.source_id}", local_path(each.source.url)) for each in recordings]
    refuse_overwriting([("the file of events", events)], inputs)
    config = config.model_copy(update={"sources": (), "sinks": (), "outbox": OutboxSettings()})
    detectors = DetectorBuilder(config, note, StageTimer(), max_requests=_requests(config))
    for name in {each.source.vocabulary or config.vocabulary for each in recordings}:
        detectors.vocabulary(name)  # which threads would load several times
    try:
        with _opened_parts(events, _fingerprint(config, detectors), resume=resume) as parts:
            results = {result.source_id: result for each in recordings if (result := parts.result_of(each)) is not None}
            for result in results.values():
                finished(result)

            def process(recording: Recording) -> RecordingResult:
                if stop.is_set():
                    return RecordingResult(recording.source_id, "stopped")
                return _process(config, recording, parts, detectors, stop, observer_of(recording), note, config_file)

            left = [each for each in recordings if each.source_id not in results]
            for result in _in_threads(process, left, jobs or at_a_time(), stop):
                results[result.source_id] = result
                finished(result)
            ordered = [results[each.source_id] for each in recordings]
            if not any(result.outcome == "stopped" for result in ordered):
                write_event_file(events, [parts.path_of(result.source_id) for result in ordered if result.outcome != "failed"])
    finally:
        detectors.pool.close()
    return ordered


def _in_threads(
    process: Callable[[Recording], RecordingResult], recordings: Sequence[Recording], jobs: int, stop: threading.Event
) -> Iterator[RecordingResult]:
    """Yield results as recordings end; an error of one that concerns all stops the others."""
    with ThreadPoolExecutor(jobs, thread_name_prefix="recording") as threads:
        waiting = {threads.submit(process, each) for each in recordings}
        try:
            while waiting:
                ended, waiting = wait(waiting, _WAIT_SECONDS, FIRST_COMPLETED)  # a signal is handled in between
                yield from (future.result() for future in ended)
        except BaseException:
            stop.set()
            raise


def _requests(config: RunConfig) -> int:
    return config.engine.requests if config.engine.requests != "auto" else min(_MOST_AT_A_TIME, os.cpu_count() or 1)


def _fingerprint(config: RunConfig, detectors: DetectorBuilder) -> str:
    """Identify what a recording's events depend on, besides the recording."""
    settings = config.model_dump(mode="json", exclude={"annotate", "outbox"})
    engine = detectors.manifest.model_dump(mode="json")
    return hashlib.sha256(json.dumps([__version__, settings, engine], sort_keys=True).encode()).hexdigest()


def _process(
    config: RunConfig,
    recording: Recording,
    parts: "_Parts",
    detectors: DetectorBuilder,
    stop: threading.Event,
    observer: Observer,
    note: Callable[[str], None],
    config_file: Path | None,
) -> RecordingResult:
    """Write the events of one recording; its failure is its own."""
    unfinished = parts.unfinished_path_of(recording.source_id)
    source = recording.source.model_copy(update={"id": recording.source_id})
    changes: dict[str, Any] = {"sources": (source,), "sinks": (JsonlSettings(path=str(unfinished), sync=False),)}
    if config.annotate is not None:
        video = Path(config.annotate.path)
        changes["annotate"] = config.annotate.model_copy(update={"path": str(video.with_stem(f"{video.stem}-{recording.source_id}"))})
    pipeline = build_pipeline(config.model_copy(update=changes), note=note, config_file=config_file, detectors=detectors)
    (status,) = pipeline.run(stop, observer)
    if lost := pipeline.delivery.lost():
        raise DeliveryError(f"{recording.source_id}: {lost[0]}")
    failure = pipeline.cameras[0].failure
    result = _result_of(status, exit_code=getattr(failure, "exit_code", EdgeHoiError.exit_code) if failure else 0)
    if result.outcome in ("complete", "incomplete"):
        parts.finish(recording, result)
    else:
        unfinished.unlink(missing_ok=True)
    return result


def _result_of(status: CameraStatus, *, exit_code: int) -> RecordingResult:
    damaged = status.corrupt + status.unreadable
    outcome: Outcome = "incomplete" if damaged or status.is_truncated else "complete"
    if status.state in ("failed", "stopped"):
        outcome = "failed" if status.state == "failed" else "stopped"
    return RecordingResult(
        status.source_id,
        outcome,
        frames=status.frames,
        seconds=status.position_seconds,
        duration_seconds=status.duration_seconds,
        damaged=damaged,
        events=status.events,
        error=status.error,
        exit_code=exit_code,
    )


class _Parts:
    """The folder with the events of each finished recording, and their list."""

    def __init__(self, folder: Path, fingerprint: str, finished: dict[str, Any]) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._finished = finished
        self._writing = threading.Lock()
        self.save()

    def path_of(self, source_id: str) -> Path:
        return self._folder / f"{source_id}.jsonl"

    def unfinished_path_of(self, source_id: str) -> Path:
        return self._folder / f"{source_id}.jsonl.unfinished"

    def result_of(self, recording: Recording) -> RecordingResult | None:
        """Return the result of an earlier run for the same file."""
        entry = self._finished.get(recording.source_id)
        if entry is None or entry["recording"] != _identity_of(recording) or not self.path_of(recording.source_id).is_file():
            return None
        return RecordingResult(**entry["result"] | {"is_earlier": True})

    def finish(self, recording: Recording, result: RecordingResult) -> None:
        """Keep the events of a recording, first their file and then the list, both synced to disk."""
        unfinished = self.unfinished_path_of(recording.source_id)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        with self._writing:
            unfinished.replace(self.path_of(recording.source_id))
            self._finished[recording.source_id] = {"recording": _identity_of(recording), "result": asdict(result)}
            self.save()

    def save(self) -> None:
        with writing_file(self._folder / _STATE) as path, path.open("w", encoding="utf-8") as file:
            json.dump({"settings": self._fingerprint, "finished": self._finished}, file)
            file.flush()
            os.fsync(file.fileno())


def _identity_of(recording: Recording) -> list[Any]:
    options = recording.source.model_dump(mode="json", exclude={"id"})
    return [options | {"url": os.path.realpath(local_path(recording.source.url))}, recording.size, recording.modified]


@contextmanager
def _opened_parts(events: Path, fingerprint: str, *, resume: bool) -> Iterator[_Parts]:
    """Open the folder of parts of a file of events for this run alone; without `resume` it begins anew."""
    folder = events.with_name(f"{events.name}.parts")
    try:
        folder.mkdir(exist_ok=True)
        lock = lock_file(folder / ".lock")
    except BlockingIOError as error:
        raise ConfigError(f"another run is writing {events}; wait for its end, or name another file") from error
    except OSError as error:
        raise DeliveryError(f"cannot write to {folder}: {error.strerror or error}; name a file in a writable folder") from error
    with lock:
        yield _Parts(folder, fingerprint, _read_state(folder / _STATE, fingerprint) if resume else {})


def _read_state(path: Path, fingerprint: str) -> dict[str, Any]:
    """Return what earlier runs finished; nothing if there was none."""
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        settings, finished = state["settings"], dict(state["finished"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read ({error!r}); run without --resume to begin anew") from error
    if settings != fingerprint:
        raise ConfigError(f"{path} is of other settings, another engine or another version; run without --resume to begin anew")
    return finished
