"""Try settings of tracker and episodes on videos with known episodes: what is seen is kept, and only what follows from it is done again.

    python benchmarks/event_settings.py VIDEOS [--engine NAME] [--set episodes.enter=0.55,0.6 …] [--keep FOLDER] [--choose levels.yaml]

Each `--set` names a setting and the values to try; all combinations are tried, and printed by F1. `--choose` writes the best, with
exceptions for single verbs; `edge-hoi build --levels` takes it. Settings are chosen on other videos than those that they are judged by.
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
WORTH = 3.0
_MODEL = ModelInfo("engine", "0" * 64, "openvino", "int8")
_FIELDS = ("human_boxes", "object_boxes", "object_category_ids", "hoi_ids", "scores")

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
            detector = FixedSizeDetector(running, classifier, vocabulary, score_threshold=RunConfig().detection.score_threshold)
            return [(frame.pts_seconds, detector.detect([frame.image])[0]) for frame in itertools.chain([first], frames)]


def judged(seen: tuple[Path, Sights], engine: str, tried: Sequence[dict[str, object]]) -> list[ScoredVideo]:
    """Follow what was seen in a video with each of some settings, all at once, and judge the events.

    Args:
        seen: The video, and what was seen.
        engine: Whose vocabulary it was seen with.
        tried: Settings by dotted name.
    """
    video, sights = seen
    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    configs = [parse_config(_nested(changes), origin="--set") for changes in tried]
    episodes = [episode_settings(config, manifest) for config in configs]
    following = [tracker_settings(config, each) for config, each in zip(configs, episodes, strict=True)]
    trackers = {settings: Tracker(settings) for settings in following}  # what differs in its episodes alone shares a tracker
    keepers = [EpisodeKeeper(vocabulary, site="site", camera=video.stem, model=_MODEL, settings=each) for each in episodes]
    events: list[list[Event]] = [[] for _ in tried]
    with open_source(str(video), source_id=video.stem) as source:
        for frame, (_, interactions) in zip(source, sights, strict=True):
            tracked = {settings: tracker.update(frame, interactions) for settings, tracker in trackers.items()}
            for told, keeper, settings in zip(events, keepers, following, strict=True):
                told += keeper.update(frame, tracked[settings])
    for told, keeper in zip(events, keepers, strict=True):
        told += keeper.close(EndReason.SHUTDOWN)
    truth = read_truth(truth_path(video))
    return [score_events(truth, predicted_episodes(map(render, told)), name=video.stem, min_seconds=MIN_SECONDS) for told in events]


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


def seen(folders: Sequence[Path], engine: str, kept: Path | None) -> list[tuple[Path, Sights]]:
    """Look at every video with a truth, or take what was kept of an earlier look."""
    folder = engine_folder(engine)
    vocabulary = load_engine_vocabulary(folder, read_manifest(folder))
    found = []
    for video in sorted(path for folder in folders for path in folder.glob("*.mp4") if truth_path(path).exists()):
        cache = kept / f"{video.stem}.npz" if kept else None
        if cache and cache.exists():
            sights = read_sights(cache, vocabulary)
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


def read_sights(path: Path, vocabulary: Vocabulary) -> Sights:
    """Read what `write_sights` wrote."""
    with np.load(path) as kept:
        ends = np.cumsum(kept["counts"])[:-1]
        rows = zip(*(np.split(kept[field], ends) for field in _FIELDS), strict=True)
        return [(float(seconds), Interactions(vocabulary, *row)) for seconds, row in zip(kept["seconds"], rows, strict=True)]


def choose_by_verb(tried: Sequence[dict[str, object]], results: Sequence[EventResults]) -> dict[str, dict[str, object]]:
    """Take the settings with the best F1, and for single verbs others that add to it.

    At an F1 of f it grows with 2 found - f predicted, so that verbs can be settled one by one. An exception must be worth `WORTH` of these,
    which keeps chance out.

    Args:
        tried: Settings by dotted name, of episodes only.
        results: What each came to.

    Returns:
        A configuration with these `episodes`.
    """
    best = max(range(len(tried)), key=lambda index: results[index].overall.f1)
    f1 = results[best].overall.f1

    def worth(index: int, verb: str) -> float:
        metrics = results[index].by_verb.get(verb)
        return 2 * metrics.found - f1 * metrics.predicted if metrics else 0.0

    general = _nested(tried[best])["episodes"]
    verbs = {}
    for verb, metrics in results[best].by_verb.items():
        index = max(range(len(tried)), key=lambda index: worth(index, verb))
        if metrics.true and worth(index, verb) - worth(best, verb) >= WORTH:
            verbs[verb] = {name: value for name, value in _nested(tried[index])["episodes"].items() if value != general[name]}
    return {"episodes": {**general, "verbs": verbs}}


def main() -> None:
    """Try what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", help="folders of videos")
    parser.add_argument("--engine", default="default")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--keep", type=Path, help="keep what was seen here, for another time")
    parser.add_argument("--choose", type=Path, help="write the best settings of episodes, verb by verb, to this YAML file")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    videos = seen(arguments.videos, arguments.engine, arguments.keep)
    tried = legal(combinations(arguments.settings))
    with ProcessPoolExecutor(arguments.processes) as pool:
        scored = list(pool.map(partial(judged, engine=arguments.engine, tried=tried), videos))
    results = [event_results(each) for each in zip(*scored, strict=True)]
    for changes, result in sorted(zip(tried, results, strict=True), key=lambda pair: -pair[1].overall.f1):
        print(describe(result), changes)
    if arguments.choose:
        text = yaml.safe_dump(choose_by_verb(tried, results), sort_keys=False)
        arguments.choose.write_text(text)
        print(f"{arguments.choose}:\n{text}")


def legal(settings: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """Leave out what no configuration may have, such as a `leave` above `enter`.

    Args:
        settings: By dotted name.

    Raises:
        ConfigError: No configuration may have any of them; a name is misspelt, most often.
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
    """Write the metrics that matter in a line."""
    metrics = result.overall
    return (
        f"F1 {metrics.f1:.3f}  P {metrics.precision:.3f}  R {metrics.recall:.3f}  start {metrics.start_delay.median:+.2f} s  "
        f"told {metrics.emit_delay.median:+.2f} s  fragments {metrics.fragmentation:.2f}  duplicates {metrics.duplicates}"
    )


if __name__ == "__main__":
    main()
