"""Try settings of tracker and episodes on videos with known episodes: what is seen is kept, and only what follows from it is done again.

    python benchmarks/event_settings.py VIDEOS [--engine NAME] [--set episodes.enter=0.55,0.6 …] [--keep FOLDER]

Each `--set` names a setting and the values to try; all combinations are tried, and printed by F1. Settings are chosen on other videos
than those that they are judged by.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from edge_hoi.config import RunConfig, parse_config
from edge_hoi.datasets.truth import read_truth, truth_path
from edge_hoi.delivery.cloudevents import render
from edge_hoi.detection import Detector
from edge_hoi.evaluation.events import EventResults, event_results, judge, predicted_episodes
from edge_hoi.events import EpisodeKeeper
from edge_hoi.ingest import open_source
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.levels import episode_settings, tracker_settings
from edge_hoi.runtime import choose_input_size, open_engine, read_manifest
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Interactions, ModelInfo

MIN_SECONDS = 1.0
_MODEL = ModelInfo("engine", "0" * 64, "openvino", "int8")
_FIELDS = ("human_boxes", "object_boxes", "object_ids", "hoi_ids", "scores")

Sights = list[tuple[float, Interactions]]


def look(video: Path, engine: str) -> Sights:
    """Run an engine over a video.

    Args:
        video: The file.
        engine: Its name or folder.

    Returns:
        Time and interactions of each frame.
    """
    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    classifier = load_classifier(folder, manifest, vocabulary, cache=folder / "cache", note=print)
    with open_source(str(video), source_id=video.stem) as source:
        frames = iter(source)
        first = next(frames)
        with open_engine(folder, input_size=choose_input_size(first.width, first.height, manifest.input)) as running:
            detector = Detector(running, classifier, vocabulary, score_threshold=RunConfig().detection.score_threshold)
            return [(frame.pts_seconds, detector.detect([frame])[0]) for frame in itertools.chain([first], frames)]


def judged(videos: Sequence[tuple[Path, Sights]], engine: str, changes: dict[str, object]) -> EventResults:
    """Follow what was seen with some settings, and measure the events.

    Args:
        videos: Each with what was seen.
        engine: Whose vocabulary it was seen with.
        changes: Settings by dotted name.
    """
    document: dict[str, dict[str, object]] = {}
    for name, value in changes.items():
        section, _, key = name.partition(".")
        document.setdefault(section, {})[key] = value
    config = parse_config(document, origin="--set")
    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    episodes = episode_settings(config, manifest)
    judgements = []
    for video, sights in videos:
        truth = read_truth(truth_path(video))
        keeper = EpisodeKeeper(vocabulary, site="site", camera=video.stem, model=_MODEL, settings=episodes)
        tracker = Tracker(tracker_settings(config, episodes))
        events = []
        with open_source(str(video), source_id=video.stem) as source:
            for frame, (_, interactions) in zip(source, sights, strict=True):
                events += keeper.update(frame, tracker.update(frame, interactions))
        events += keeper.close(EndReason.SHUTDOWN)
        judgements.append(judge(truth, predicted_episodes(map(render, events)), name=video.stem, min_seconds=MIN_SECONDS))
    return event_results(judgements)


def combinations(settings: Sequence[str]) -> Iterator[dict[str, object]]:
    """List all combinations of the values to try."""
    names, values = [], []
    for setting in settings:
        name, _, choices = setting.partition("=")
        names.append(name)
        values.append([yaml.safe_load(choice) for choice in choices.split(",")])
    for chosen in itertools.product(*values):
        yield dict(zip(names, chosen, strict=True))


def seen(folder: Path, engine: str, kept: Path | None) -> list[tuple[Path, Sights]]:
    """Look at every video with a truth, or take what was kept of an earlier look."""
    found = []
    for video in sorted(path for path in folder.glob("*.mp4") if truth_path(path).exists()):
        cache = kept / f"{video.stem}.npz" if kept else None
        if cache and cache.exists():
            sights = read_sights(cache)
        else:
            began = time.monotonic()
            sights = look(video, engine)
            print(f"{video.name}: {len(sights) / (time.monotonic() - began):.0f} frames/s", file=sys.stderr)
            if cache:
                cache.parent.mkdir(parents=True, exist_ok=True)
                write_sights(cache, sights)
        found.append((video, sights))
    return found


def write_sights(path: Path, sights: Sights) -> None:
    """Keep what was seen: `seconds` and `counts` a frame, and the fields of all interactions, one after the other."""
    seconds = [seconds for seconds, _ in sights]
    fields = {field: np.concatenate([getattr(found, field) for _, found in sights]) for field in _FIELDS}
    np.savez(path, seconds=seconds, counts=[len(found) for _, found in sights], **fields)


def read_sights(path: Path) -> Sights:
    """Read what `write_sights` wrote."""
    with np.load(path) as kept:
        ends = np.cumsum(kept["counts"])[:-1]
        rows = zip(*(np.split(kept[field], ends) for field in _FIELDS), strict=True)
        return [(float(seconds), Interactions(*row)) for seconds, row in zip(kept["seconds"], rows, strict=True)]


def main() -> None:
    """Try what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    videos = seen(arguments.videos, arguments.engine, arguments.keep)
    tried = list(combinations(arguments.settings))
    with ProcessPoolExecutor(arguments.processes) as pool:
        results = list(pool.map(partial(judged, videos, arguments.engine), tried))
    for changes, result in sorted(zip(tried, results, strict=True), key=lambda pair: -pair[1].overall.f1):
        print(describe(result), changes)


def describe(result: EventResults) -> str:
    """Write the figures that matter in a line."""
    figures = result.overall
    return (
        f"F1 {figures.f1:.3f}  P {figures.precision:.3f}  R {figures.recall:.3f}  start {figures.start_delay.median:+.2f} s  "
        f"told {figures.told_delay.median:+.2f} s  fragments {figures.fragmentation:.2f}  duplicates {figures.duplicates}"
    )


if __name__ == "__main__":
    main()
