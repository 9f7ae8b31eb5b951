"""Watch faulty cameras with a configuration for a long time, and measure what the faults did."""

import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from edge_hoi.config import ReconnectConfig, RunConfig, SourceConfig
from edge_hoi.lab.soak.camera import FaultyCamera
from edge_hoi.lab.soak.faults import faults
from edge_hoi.pipeline import CameraStatus, build_pipeline
from edge_hoi.pipeline.pipeline import Pipeline
from edge_hoi.telemetry.memory import resident_bytes
from edge_hoi.types import Event, Phase

RECOVERY_SECONDS = 10.0
_PASSWORD = "soak-password"  # noqa: S105 -- of a camera on this machine
_FAULT_SECONDS = (1.0, 6.0)
_PAUSE_SECONDS = (1.0, 4.0)
_READ_TIMEOUT_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_WARM_UP = 0.5  # of the time, before memory is judged
_LEAST_SAMPLES = 60  # after warm-up, for a slope
_JUDGED_SECONDS = 3600  # for a slope that is judged: allocators settle for half an hour
_BLOCKS = 45
_MOST_GROWTH = 1.0  # MB an hour
_NORMAL_95 = 1.96


@dataclass(slots=True)
class FaultReport:
    """One fault of one camera.

    Attributes:
        fault: Its name.
        camera: The camera.
        began_seconds: When, since the start of the soak.
        lasted_seconds: How long.
        seen_state: The camera's state at the end of the fault.
        recovery_seconds: From its end to the next processed frame; None if none came.
    """

    fault: str
    camera: str
    began_seconds: float
    lasted_seconds: float
    seen_state: str
    recovery_seconds: float | None


@dataclass(slots=True)
class SoakReport:
    """What a soak measured.

    Attributes:
        seconds: How long it took.
        faults: All faults.
        memory_mb: Resident memory of the process, cameras included, once a second.
        descriptors: Open files of the process, once a second.
        cameras: Counters of each camera at the end.
        sent: Frames that each camera sent.
        open_events: Events that began and never ended.
        failures: What went wrong, one line each; empty if nothing did.
    """

    seconds: float
    faults: list[FaultReport] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    cameras: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    open_events: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def memory_slope(self) -> tuple[float, float, float] | None:
        """Growth of memory after warm-up and the limits of its 95 % interval, in MB an hour; None if the soak was too short to tell.

        By Theil and Sen: the median of the slopes between all pairs of medians of 45 parts of the time, and Kendall's test for the
        interval (Sen 1968, https://doi.org/10.1080/01621459.1968.10480934). Single peaks and steps do not move it.
        """
        judged = self.memory_mb[int(len(self.memory_mb) * _WARM_UP) :]
        if len(judged) < _LEAST_SAMPLES:
            return None
        blocks = np.array_split(judged, min(_BLOCKS, len(judged) // 10))
        medians = np.array([np.median(block) for block in blocks])
        hours = np.cumsum([len(block) for block in blocks]) * self.seconds / len(self.memory_mb) / 3600
        first, second = np.triu_indices(count := len(blocks), 1)
        slopes = np.sort((medians[second] - medians[first]) / (hours[second] - hours[first]))
        reach = _NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
        low, high = max(round((len(slopes) - reach) / 2) - 1, 0), min(round((len(slopes) + reach) / 2), len(slopes) - 1)
        return float(np.median(slopes)), float(slopes[low]), float(slopes[high])

    def as_json(self) -> dict[str, Any]:
        """Return it for a file of results."""
        return asdict(self) | {"memory_slope_mb_per_hour": self.memory_slope}


def soak(
    config: RunConfig, clip: Path, *, cameras: int, seconds: float, seed: int, folder: Path, note: Callable[[str], None]
) -> SoakReport:
    """Run a configuration on faulty cameras instead of its own.

    Args:
        config: What to run; its sources are replaced.
        clip: H.264 that the cameras show, again and again.
        cameras: How many.
        seconds: How long.
        seed: Decides which faults come when.
        folder: For the clip in another resolution.
        note: Called with messages for the user.
    """
    chosen = random.Random(seed)  # noqa: S311 -- no secret depends on it
    watched = {f"camera-{number}": FaultyCamera(clip, password=_PASSWORD, has_sound=True, seed=number) for number in range(cameras)}
    kinds = faults(clip, write_half_size(clip, folder / "half.mp4"), chosen)
    with ExitStack() as stack:
        for camera in watched.values():
            stack.enter_context(camera)
        sources = tuple(_source(name, camera) for name, camera in watched.items())
        engine = config.engine.model_copy(update={"allow_demo": True})
        settings = config.model_copy(update={"sources": sources, "engine": engine, "retry_unreachable_sources": True, "max_frames": None})
        pipeline = build_pipeline(settings, note=note)
        stop, observer = threading.Event(), _Observer()
        report = SoakReport(seconds)
        threads = [threading.Thread(target=_measure, args=(report, stop), daemon=True)]
        for name, camera in watched.items():
            own = random.Random(f"{seed} {name}")  # noqa: S311
            threads.append(threading.Thread(target=_disturb, args=(name, camera, kinds, own, report, observer, stop), daemon=True))
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        for thread in (*threads, timer):
            thread.start()
        _run(pipeline, stop, observer, report)
        stop.set()
        for thread in threads:
            thread.join(RECOVERY_SECONDS)
    report.cameras = [asdict(status) for status in pipeline.statuses()]
    report.sent = {name: camera.sent for name, camera in watched.items()}
    report.open_events = sum(observer.open.values())
    judge(report)
    return report


def write_half_size(clip: Path, path: Path) -> Path:
    """Write a clip at half its width and height."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        width, height = (side // 4 * 2 for side in (stream.width, stream.height))
        copy = target.add_stream("libx264", rate=Fraction(stream.average_rate or 25), options={"preset": "ultrafast", "bf": "0"})
        copy.width, copy.height, copy.pix_fmt = width, height, "yuv420p"
        for number, frame in enumerate(source.decode(stream)):
            small = frame.reformat(width=width, height=height, format="yuv420p")
            small.pts, small.time_base = number, 1 / Fraction(stream.average_rate or 25)
            target.mux(copy.encode(small))
        target.mux(copy.encode(None))
    return path


class _Observer:
    """Keeps the newest statuses, and counts open events."""

    def __init__(self) -> None:
        self.statuses: dict[str, CameraStatus] = {}
        self.open: Counter[str] = Counter()
        self._next = 0.0

    def show_events(self, events: Sequence[Event]) -> None:
        for event in events:
            self.open[event.event_id] += {Phase.STARTED: 1, Phase.ENDED: -1}.get(event.phase, 0)

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        self._next = time.monotonic() + _LOOK_SECONDS
        self.statuses = {status.source_id: status for status in statuses}

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def frames(self, camera: str) -> int:
        return self.statuses[camera].frames if camera in self.statuses else 0


def _source(name: str, camera: FaultyCamera) -> SourceConfig:
    quick = ReconnectConfig(slow_wait_seconds=2.0, max_wait_seconds=2.0)
    return SourceConfig(url=camera.url, id=name, read_timeout_seconds=_READ_TIMEOUT_SECONDS, open_timeout_seconds=5.0, reconnect=quick)


def _run(pipeline: Pipeline, stop: threading.Event, observer: _Observer, report: SoakReport) -> None:
    started = time.monotonic()
    try:
        pipeline.run(stop, observer)
    except Exception as error:
        report.failures.append(f"the run ended by {type(error).__name__}: {error}")
    report.seconds = time.monotonic() - started


def _disturb(
    name: str,
    camera: FaultyCamera,
    kinds: dict[str, Any],
    chosen: random.Random,
    report: SoakReport,
    observer: _Observer,
    stop: threading.Event,
) -> None:
    """Let one fault after another happen to a camera, and wait for its frames after each."""
    started = time.monotonic()
    while not _wait_for_frame(name, observer, stop, seconds=None):
        if stop.is_set():
            return
    while not stop.wait(chosen.uniform(*_PAUSE_SECONDS)):
        fault = chosen.choice(list(kinds))
        began = time.monotonic()
        try:
            with kinds[fault](camera):
                stop.wait(chosen.uniform(*_FAULT_SECONDS))
                state = observer.statuses[name].state
        except Exception as error:
            report.failures.append(f"{name}: its faults ended at {fault}: {type(error).__name__}: {error}")
            return
        ended = time.monotonic()
        is_back = _wait_for_frame(name, observer, stop, seconds=2 * RECOVERY_SECONDS)
        if stop.is_set():
            return
        recovery = time.monotonic() - ended if is_back else None
        report.faults.append(FaultReport(fault, name, began - started, ended - began, state, recovery))


def _wait_for_frame(name: str, observer: _Observer, stop: threading.Event, *, seconds: float | None) -> bool:
    before, deadline = observer.frames(name), None if seconds is None else time.monotonic() + seconds
    while not stop.wait(_LOOK_SECONDS / 2):
        if observer.frames(name) > before:
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False
    return False


def _measure(report: SoakReport, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        report.memory_mb.append(resident_bytes() / 1e6)
        report.descriptors.append(len(list(Path("/proc/self/fd").iterdir())))


def judge(report: SoakReport) -> None:
    """Add to a report what went wrong."""
    for each in report.faults:
        if each.recovery_seconds is None or each.recovery_seconds > RECOVERY_SECONDS:
            took = "never" if each.recovery_seconds is None else f"after {each.recovery_seconds:.1f} s"
            report.failures.append(f"{each.camera}: frames came {took} after {each.fault} at {each.began_seconds:.0f} s")
    report.failures += [f"{camera['source_id']} failed: {camera['error']}" for camera in report.cameras if camera["state"] == "failed"]
    for camera in report.cameras:
        name, taken = camera["source_id"], camera["frames"] + camera["skipped"]
        if taken > report.sent[name]:
            report.failures.append(f"{name}: {taken} frames were counted, but {report.sent[name]} sent")
    slope = report.memory_slope
    if slope is not None and slope[1] > _MOST_GROWTH and report.seconds >= _JUDGED_SECONDS:
        report.failures.append(
            f"memory grew by {slope[0]:.1f} MB an hour after warm-up, at least {slope[1]:.1f}; {_MOST_GROWTH:g} is allowed"
        )
    if report.open_events:
        report.failures.append(f"{report.open_events} events began and never ended")
