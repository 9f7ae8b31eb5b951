"""Try settings of tracker and episodes on videos with ground truth. Detections are computed once; only what follows is repeated.

    python benchmarks/event_settings.py VIDEOS [--engine NAME] [--set episodes.enter=0.55,0.6 …] [--keep FOLDER] [--choose thresholds.yaml]

Each `--set` names a setting and the values to try; all combinations are tried, and printed by F1. `--choose` writes the best, with
exceptions for single verbs, for `edge-hoi build --thresholds`. Choose settings on other videos than those used for evaluation.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from edge_hoi.config import RunConfig, parse_config
from edge_hoi.detection import FixedSizeDetector
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeKeeper
from edge_hoi.events.cloudevents import render
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import read_truth, truth_path
from edge_hoi.lab.evaluation.events import EventResults, ScoredVideo, event_results, predicted_episodes, score_events
from edge_hoi.pipeline.classifiers import load_classifier, load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.thresholds import episode_settings, tracker_settings
from edge_hoi.runtime import choose_input_size, open_engine, read_manifest
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Event, Interactions, ModelInfo
from edge_hoi.vocabulary import Vocabulary

MIN_SECONDS = 1.0
MIN_GAIN = 3.0
_MODEL = ModelInfo("engine", "0" * 64, "openvino", "int8")
_FIELDS = ("human_boxes", "object_boxes", "object_category_ids", "hoi_ids", "scores")

Detections = list[tuple[float, Interactions]]


def detect(video: Path, engine: str) -> Detections:
    """Run an engine over a video; return time and interactions of each frame."""
    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    classifier = load_classifier(folder, manifest, vocabulary, cache=folder / "cache", note=print)
    with open_source(str(video), source_id=video.stem) as source:
        frames = iter(source)
        first = next(frames)
        with open_engine(folder, input_size=choose_input_size(first.width, first.height, manifest.input)) as running:
            detector = FixedSizeDetector(running, classifier, vocabulary, score_threshold=RunConfig().detection.score_threshold)
            return [(frame.pts_seconds, detector.detect([frame.pixels])[0]) for frame in itertools.chain([first], frames)]


def score(video_detections: tuple[Path, Detections], engine: str, tried: Sequence[dict[str, object]]) -> list[ScoredVideo]:
    """Track a video's detections with each of some settings, all at once, and score the events.

    Args:
        video_detections: The video, and its detections.
        engine: Their engine.
        tried: Settings by dotted name.
    """
    video, detections = video_detections
    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    configs = [parse_config(_nested(changes), origin="--set") for changes in tried]
    episodes = [episode_settings(config, manifest) for config in configs]
    following = [tracker_settings(config, each) for config, each in zip(configs, episodes, strict=True)]
    trackers = {settings: Tracker(settings) for settings in following}  # settings that differ in episodes only share a tracker
    keepers = [EpisodeKeeper(vocabulary, site="site", camera=video.stem, model=_MODEL, settings=each) for each in episodes]
    events: list[list[Event]] = [[] for _ in tried]
    with open_source(str(video), source_id=video.stem) as source:
        for frame, (_, interactions) in zip(source, detections, strict=True):
            tracked = {settings: tracker.update(frame, interactions) for settings, tracker in trackers.items()}
            for emitted, keeper, settings in zip(events, keepers, following, strict=True):
                emitted += keeper.update(frame, tracked[settings])
    for emitted, keeper in zip(events, keepers, strict=True):
        emitted += keeper.close(EndReason.SHUTDOWN)
    truth = read_truth(truth_path(video))
    return [score_events(truth, predicted_episodes(map(render, emitted)), name=video.stem, min_seconds=MIN_SECONDS) for emitted in events]


def _nested(changes: dict[str, object]) -> dict[str, dict[str, object]]:
    document: dict[str, dict[str, object]] = {}
    for name, value in changes.items():
        section, _, key = name.partition(".")
        document.setdefault(section, {})[key] = value
    return document


def combinations(settings: Sequence[str]) -> Iterator[dict[str, object]]:
    """List all combinations of the values to try."""
    names, values = [], []
    for setting in settings:
        name, _, choices = setting.partition("=")
        names.append(name)
        values.append([yaml.safe_load(choice) for choice in choices.split(",")])
    for chosen in itertools.product(*values):
        yield dict(zip(names, chosen, strict=True))


def detect_all(folders: Sequence[Path], engine: str, kept: Path | None) -> list[tuple[Path, Detections]]:
    """Detect in every video with ground truth, or read what an earlier run kept."""
    folder = engine_folder(engine)
    vocabulary = load_engine_vocabulary(folder, read_manifest(folder))
    found = []
    for video in sorted(path for folder in folders for path in folder.glob("*.mp4") if truth_path(path).exists()):
        cache = kept / f"{video.stem}.npz" if kept else None
        if cache and cache.exists():
            detections = read_detections(cache, vocabulary)
        else:
            began = time.monotonic()
            detections = detect(video, engine)
            print(f"{video.name}: {len(detections) / (time.monotonic() - began):.0f} frames/s", file=sys.stderr)
            if cache:
                cache.parent.mkdir(parents=True, exist_ok=True)
                write_detections(cache, detections)
        found.append((video, detections))
    return found


def write_detections(path: Path, detections: Detections) -> None:
    """Write detections: `seconds` and `counts` of each frame, and the fields of all interactions concatenated."""
    seconds = [seconds for seconds, _ in detections]
    fields = {field: np.concatenate([getattr(found, field) for _, found in detections]) for field in _FIELDS}
    np.savez(path, seconds=seconds, counts=[len(found) for _, found in detections], **fields)


def read_detections(path: Path, vocabulary: Vocabulary) -> Detections:
    """Read what `write_detections` wrote."""
    with np.load(path) as kept:
        ends = np.cumsum(kept["counts"])[:-1]
        rows = zip(*(np.split(kept[field], ends) for field in _FIELDS), strict=True)
        return [(float(seconds), Interactions(vocabulary, *row)) for seconds, row in zip(kept["seconds"], rows, strict=True)]


def choose_by_verb(tried: Sequence[dict[str, object]], results: Sequence[EventResults]) -> dict[str, dict[str, object]]:
    """Return the settings with the best F1, and exceptions for verbs that improve it.

    At an F1 of f it grows with 2 found - f predicted, so that verbs can be chosen one by one. An exception must gain `MIN_GAIN` of these,
    which keeps out chance.

    Args:
        tried: Settings by dotted name, of episodes only.
        results: Results of each.

    Returns:
        A configuration with these `episodes`.
    """
    best = max(range(len(tried)), key=lambda index: results[index].overall.f1)
    f1 = results[best].overall.f1

    def gain(index: int, verb: str) -> float:
        metrics = results[index].by_verb.get(verb)
        return 2 * metrics.found - f1 * metrics.predicted if metrics else 0.0

    general = _nested(tried[best])["episodes"]
    verbs = {}
    for verb, metrics in results[best].by_verb.items():
        index = max(range(len(tried)), key=lambda index: gain(index, verb))
        if metrics.ground_truth and gain(index, verb) - gain(best, verb) >= MIN_GAIN:
            verbs[verb] = {name: value for name, value in _nested(tried[index])["episodes"].items() if value != general[name]}
    return {"episodes": {**general, "verbs": verbs}}


def main() -> None:
    """Try the settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", help="folders of videos")
    parser.add_argument("--engine", default="default")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--keep", type=Path, help="keep the detections here, for another run")
    parser.add_argument("--choose", type=Path, help="write the best settings of episodes, verb by verb, to this YAML file")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    videos = detect_all(arguments.videos, arguments.engine, arguments.keep)
    tried = legal(combinations(arguments.settings))
    with ProcessPoolExecutor(arguments.processes) as pool:
        scored = list(pool.map(partial(score, engine=arguments.engine, tried=tried), videos))
    results = [event_results(each) for each in zip(*scored, strict=True)]
    for changes, result in sorted(zip(tried, results, strict=True), key=lambda pair: -pair[1].overall.f1):
        print(describe(result), changes)
    if arguments.choose:
        text = yaml.safe_dump(choose_by_verb(tried, results), sort_keys=False)
        arguments.choose.write_text(text)
        print(f"{arguments.choose}:\n{text}")


def legal(settings: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Drop invalid settings, such as a `leave` above `enter`.

    Args:
        settings: By dotted name.

    Raises:
        ConfigError: None is valid; most often a name is misspelt.
    """
    found, refused = [], None
    for changes in settings:
        try:
            parse_config(_nested(changes), origin="--set")
        except ConfigError as error:
            refused = error
        else:
            found.append(changes)
    if refused and not found:
        raise refused
    return found


def describe(result: EventResults) -> str:
    """Format the main metrics in a line."""
    metrics = result.overall
    return (
        f"F1 {metrics.f1:.3f}  P {metrics.precision:.3f}  R {metrics.recall:.3f}  start {metrics.start_delay.median:+.2f} s  "
        f"emit {metrics.emit_delay.median:+.2f} s  fragments {metrics.fragmentation:.2f}  duplicates {metrics.duplicates}"
    )


if __name__ == "__main__":
    main()
