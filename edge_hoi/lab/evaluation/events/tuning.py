"""Choose the thresholds of episodes from videos with ground truth, for each interaction by its own events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_hoi.config import RunConfig
from edge_hoi.errors import DatasetError
from edge_hoi.events import EpisodeKeeper, EpisodeSettings
from edge_hoi.events.cloudevents import render
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import Truth
from edge_hoi.lab.evaluation.events.matching import ScoredVideo, score_events
from edge_hoi.lab.evaluation.events.metrics import event_results
from edge_hoi.lab.evaluation.events.predicted import predicted_episodes
from edge_hoi.pipeline import DetectorBuilder
from edge_hoi.pipeline.build import Note
from edge_hoi.pipeline.thresholds import tracker_settings
from edge_hoi.telemetry import StageTimer
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Event, ModelInfo

THRESHOLDS = tuple(round(0.3 + 0.05 * step, 2) for step in range(14))
"""Values of `enter` that are tried, ascending."""
LEAVE_SHARE = 0.85
"""`leave` is this share of `enter`."""
MIN_GAIN = 1.5
"""An exception has to gain so many true or lose so many false episodes: fewer can be chance."""

_MODEL = ModelInfo("engine", "0" * 64, "engine", "unknown")


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of episodes: in the ground truth, those of them found, and predicted."""

    ground_truth: int = 0
    found: int = 0
    predicted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of both together."""
        return Counts(self.ground_truth + other.ground_truth, self.found + other.found, self.predicted + other.predicted)

    @property
    def precision(self) -> float:
        """Share of the predicted that is found; 1 without predictions."""
        return self.found / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """Share of the ground truth that is found; 1 without ground truth."""
        return self.found / self.ground_truth if self.ground_truth else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where nothing is found."""
        return 2 * self.found / max(1, self.ground_truth + self.predicted)


Table = Mapping[str, Counts]
"""Counts by interaction, as in `ride bicycle`."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Chosen thresholds, as indices into those that were tried; the general one, and exceptions by interaction (None disables it)."""

    general: int
    exceptions: Mapping[str, int | None]

    def count(self, tables: Sequence[Table]) -> Counts:
        """Sum up the counts of a table for each threshold, each interaction with its own."""
        names = dict.fromkeys(name for table in tables for name in table)
        return sum((self._count_one(name, tables) for name in names), Counts())

    def _count_one(self, name: str, tables: Sequence[Table]) -> Counts:
        index = self.exceptions.get(name, self.general)
        if index is None:
            return Counts(next(table[name].ground_truth for table in tables if name in table))
        return tables[index].get(name, Counts())

    def to_settings(self, tried: Sequence[float]) -> dict[str, Any]:
        """Return them as the `episodes` section of a configuration."""
        form = {name: {"enabled": False} if index is None else levels(tried[index]) for name, index in sorted(self.exceptions.items())}
        return {**levels(tried[self.general]), "interactions": form}


def levels(enter: float) -> dict[str, float]:
    """Return `enter` with its `leave`."""
    return {"enter": enter, "leave": round(LEAVE_SHARE * enter, 3)}


def try_thresholds(
    videos: Mapping[Path, Truth],
    config: RunConfig,
    tried: Sequence[float],
    *,
    min_seconds: float,
    note: Note,
    progress: Callable[[Path, float], None] = lambda _video, _seconds: None,
) -> list[list[ScoredVideo]]:
    """Detect once in each frame, and track and evaluate with the settings as they are and with each threshold for all interactions.

    What the settings disable stays disabled; their other exceptions apply to the settings as they are only.

    Args:
        videos: With their ground truth.
        config: Engine, detection, tracking, and all settings of episodes but the thresholds.
        tried: Values of `enter`.
        min_seconds: Shorter true episodes are not required.
        note: Called with messages for the user.
        progress: Called with the current video and the media time reached.

    Returns:
        For each video the result with the settings as they are, then with each threshold.

    Raises:
        ConfigError: The vocabulary cannot be used.
        EngineError: The engine is missing, damaged or fails.
        SourceError: A video cannot be read to its end.
    """
    builder = DetectorBuilder(config, note, StageTimer())
    vocabulary = builder.vocabulary(config.vocabulary)
    own = builder.episodes_of(vocabulary)
    disabled = {
        kind: {name: {"enabled": False} for name, each in getattr(own, kind).items() if each.enabled is False}
        for kind in ("verbs", "interactions")
    }
    plain = own.model_dump() | disabled
    candidates = [own, *(EpisodeSettings.model_validate(plain | levels(enter)) for enter in tried)]
    scored = []
    try:
        for video, truth in videos.items():
            trackers = [Tracker(tracker_settings(config, each)) for each in candidates]
            keepers = [EpisodeKeeper(vocabulary, site="site", camera=video.stem, model=_MODEL, settings=each) for each in candidates]
            events: list[list[Event]] = [[] for _ in candidates]
            with open_source(str(video), source_id=video.stem) as source:
                for frame in source:
                    (found,) = builder.pool.detector_for(frame.pixels, vocabulary).detect([frame.pixels])
                    for emitted, tracker, keeper in zip(events, trackers, keepers, strict=True):
                        emitted += keeper.update(frame, tracker.update(frame, found))
                    progress(video, frame.pts_seconds)
            for emitted, keeper in zip(events, keepers, strict=True):
                emitted += keeper.close(EndReason.END_OF_STREAM)
            predicted = [predicted_episodes(map(render, emitted)) for emitted in events]
            scored.append([score_events(truth, each, name=video.stem, min_seconds=min_seconds) for each in predicted])
    finally:
        builder.pool.close()
    return scored


def count(videos: Iterable[ScoredVideo]) -> Table:
    """Count the episodes of scored videos by interaction."""
    by_hoi = event_results(list(videos)).by_hoi
    return {name: Counts(each.ground_truth, each.found, int(each.predicted)) for name, each in by_hoi.items()}


def choose_thresholds(tables: Sequence[Table], *, min_precision: float | None = None) -> Thresholds:
    """Choose the general threshold with the best F1, and exceptions for interactions that gain by them.

    At an F1 of f, the F1 grows with 2 found - f predicted, so that interactions can be chosen one by one.

    Args:
        tables: Counts for each threshold, ascending.
        min_precision: Instead: the largest recall of the thresholds with at least this precision; an interaction that has none is
            disabled.

    Raises:
        DatasetError: There is no ground truth, or nothing was predicted.
    """
    totals = [sum(table.values(), Counts()) for table in tables]
    if not any(total.found for total in totals):
        raise DatasetError("no threshold finds any episode of the ground truth; check that its verbs and objects are the engine's")
    f1 = max(total.f1 for total in totals)

    def value(each: Counts) -> float:
        return float(each.found) if min_precision is not None else 2 * each.found - f1 * each.predicted

    def is_allowed(each: Counts) -> bool:
        return min_precision is None or each.precision >= min_precision

    def best(column: Sequence[Counts]) -> int | None:
        allowed = [index for index, each in enumerate(column) if is_allowed(each) and each.found]
        return max(allowed, key=lambda index: (value(column[index]), index), default=None)

    general = best(totals)
    if general is None:
        general = max(range(len(totals)), key=lambda index: (totals[index].precision, index))
    exceptions: dict[str, int | None] = {}
    for name in dict.fromkeys(name for table in tables for name in table):
        column = [table.get(name, Counts()) for table in tables]
        index = best(column)
        if is_allowed(column[general]):
            if index is not None and value(column[index]) - value(column[general]) >= MIN_GAIN:
                exceptions[name] = index
        else:
            exceptions[name] = index
    return Thresholds(general, exceptions)


def cross_validate(videos: Sequence[Sequence[ScoredVideo]], *, folds: int, min_precision: float | None = None) -> Counts:
    """Choose on all videos but those of a fold, count in those, and sum up over the folds.

    Args:
        videos: For each video the result with each threshold.
        folds: At least 2; at most as many as videos.
        min_precision: See `choose_thresholds`.
    """
    total = Counts()
    for fold in range(folds):
        rest = [video for number, video in enumerate(videos) if number % folds != fold]
        chosen = choose_thresholds([count(each) for each in zip(*rest, strict=True)], min_precision=min_precision)
        total += chosen.count([count(each) for each in zip(*videos[fold::folds], strict=True)])
    return total


def plot_thresholds(tables: Sequence[Table], tried: Sequence[float], chosen: Thresholds, path: Path, *, most: int = 12) -> None:
    """Plot precision and recall against `enter`: of all interactions, and of those with the most ground truth.

    Args:
        tables: Counts for each threshold.
        tried: The thresholds.
        chosen: Marked by a vertical line.
        path: The image to write: .png, .svg or .pdf.
        most: Most interactions.
    """
    from matplotlib.figure import Figure

    names = sorted(tables[0].keys() | tables[-1].keys(), key=lambda name: (-tables[0].get(name, Counts()).ground_truth, name))[: most - 1]
    figure = Figure(figsize=(12, 2.6 * -(-(len(names) + 1) // 4)), layout="constrained")
    panels = figure.subplots(-(-(len(names) + 1) // 4), 4, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, name in zip(panels, ["", *names], strict=False):
        column = [table.get(name, Counts()) if name else sum(table.values(), Counts()) for table in tables]
        axes.plot(tried, [each.precision for each in column], color="#4477aa", label="precision")
        axes.plot(tried, [each.recall for each in column], color="#cc6677", label="recall")
        axes.plot(tried, [each.f1 for each in column], color="#bbbbbb", label="F1")
        index = chosen.exceptions.get(name, chosen.general)
        if index is not None:
            axes.axvline(tried[index], color="black", linewidth=0.8)
        axes.set_title(f"{name or 'all'} ({max(each.ground_truth for each in column)})", fontsize=9)
        axes.set_ylim(0, 1.02)
    for axes in panels[len(names) + 1 :]:
        axes.set_visible(False)
    panels[0].legend(fontsize=8)
    figure.supxlabel("enter", fontsize=9)
    figure.savefig(path, dpi=110)
