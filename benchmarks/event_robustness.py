"""Event quality under missed, false and dropped detections, on videos with ground truth; detections are computed once.

    python benchmarks/event_robustness.py VIDEOS [--engine engines/default] [--keep FOLDER] [--processes 2]

`true boxes` are the ground truth's, with jittered edges, scores of 0.85 to 1, missed pairs and false ones. `mixed` is the share of episodes
whose events show more than one true person.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from event_settings import MIN_SECONDS, Detections, detect_all

from edge_hoi.boxes import pairwise_iou
from edge_hoi.config import RunConfig
from edge_hoi.events import EpisodeKeeper, EpisodeSettings
from edge_hoi.events.cloudevents import render
from edge_hoi.events.settings import OF_TRAINED_ENGINES
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import Truth, read_truth, truth_path
from edge_hoi.lab.evaluation.events import ScoredVideo, event_results, predicted_episodes, score_events
from edge_hoi.lab.evaluation.events.overlap import MIN_BOX_IOU
from edge_hoi.lab.evaluation.events.predicted import PredictedEpisode
from edge_hoi.pipeline.classifiers import load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.thresholds import episode_settings, tracker_settings
from edge_hoi.runtime import read_manifest
from edge_hoi.tracking import Tracker
from edge_hoi.types import HUMAN_CATEGORY, EndReason, Event, Interactions, ModelInfo
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary

JITTER = 0.03  # standard deviation of an edge, in box sizes
SCORES = (0.85, 1.0)
_MODEL = ModelInfo("engine", "0" * 64, "openvino", "int8")


@dataclass(frozen=True)
class Condition:
    """What is detected, and of which frames.

    Attributes:
        missed: Share of the true pairs that are missed in a frame; None for the engine's detections.
        false: False pairs for each true one, of any person, object and verb.
        dropped: Share of the frames that are dropped.
        settings: Those of the engine where None.
    """

    name: str
    missed: float | None = None
    false: float = 0.0
    dropped: float = 0.0
    settings: EpisodeSettings | None = None


CONDITIONS = (
    Condition("engine"),
    Condition("engine, thresholds of engines without any", settings=OF_TRAINED_ENGINES),
    Condition("engine, half of the frames dropped", dropped=0.5),
    Condition("true boxes, 10 % missed, 2 % false", missed=0.1, false=0.02),
    Condition("true boxes, 30 % missed", missed=0.3),
)


def true_detections(truth: Truth, frame: int, vocabulary: Vocabulary, rng: np.random.Generator, condition: Condition) -> Interactions:
    """Return the true interactions of a frame as a detector might report them."""
    assert condition.missed is not None
    hoi_of = {(vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]): row for row, hoi in enumerate(vocabulary.hois)}
    boxes = {
        name: each.boxes[place] for name, each in truth.tracks.items() if _is_at(each.frames, frame, place := _place(each.frames, frame))
    }
    pairs: dict[tuple[int, int], list[int]] = {}
    for each in truth.episodes:
        is_visible = each.human in boxes and each.object in boxes
        if is_visible and each.start <= frame / truth.video.fps < each.end and each.object is not None:
            pairs.setdefault((each.human, each.object), []).append(hoi_of[each.verb, str(each.object_name)])
    rows = [(*pair, hoi) for pair, hois in pairs.items() if rng.random() >= condition.missed for hoi in hois]
    people = [name for name in boxes if truth.tracks[name].category == HUMAN_CATEGORY]
    others = [name for name in boxes if name not in people]
    if people and others and rng.random() < condition.false * len(pairs):
        other = others[rng.integers(len(others))]
        hois = [row for (verb, noun), row in hoi_of.items() if noun == truth.tracks[other].category and verb != NO_INTERACTION]
        rows.append((people[rng.integers(len(people))], other, hois[rng.integers(len(hois))]))
    jittered = {name: _jitter(box, rng) for name, box in boxes.items()}
    scores = -np.sort(-rng.uniform(*SCORES, len(rows))).astype(np.float32)
    order = rng.permutation(len(rows))
    rows = [rows[place] for place in order]
    return Interactions(
        vocabulary,
        np.array([jittered[human] for human, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([jittered[other] for _, other, _ in rows], np.float32).reshape(-1, 4),
        np.array([vocabulary.hois[hoi].object_id for _, _, hoi in rows], np.int64),
        np.array([hoi for _, _, hoi in rows], np.int64),
        scores,
    )


def _place(frames: np.ndarray, frame: int) -> int:
    return int(np.searchsorted(frames, frame))


def _is_at(frames: np.ndarray, frame: int, place: int) -> bool:
    return place < len(frames) and int(frames[place]) == frame


def _jitter(box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    left, top, right, bottom = box + rng.normal(0, JITTER, 4) * np.tile(box[2:] - box[:2], 2)
    return np.array([min(left, right - 1), min(top, bottom - 1), right, bottom], np.float32)


def has_two_people(truth: Truth, episode: PredictedEpisode) -> bool:
    """Check whether the events of an episode show more than one true person; one is kept while the boxes overlap enough."""
    people = [each for each in truth.tracks.values() if each.category == HUMAN_CATEGORY]
    size, current, count = np.array([truth.video.width, truth.video.height] * 2), None, 0
    for each in episode.observations:
        frame, overlaps = round(each.seconds * truth.video.fps), {}
        for number, person in enumerate(people):
            if _is_at(person.frames, frame, place := _place(person.frames, frame)):
                overlaps[number] = pairwise_iou(np.clip(person.boxes[[place]] / size, 0, 1), np.array([each.human])).item()
        if overlaps and overlaps.get(current, 0) < MIN_BOX_IOU:
            best = max(overlaps, key=lambda number: overlaps[number])
            if overlaps[best] >= MIN_BOX_IOU:
                current, count = best, count + 1
    return count > 1


def evaluate(video_detections: tuple[Path, Detections], engine: str) -> list[tuple[ScoredVideo, int, int]]:
    """Return for each condition the scored video, the number of episodes, and of those with two people."""
    video, detections = video_detections
    folder = engine_folder(engine)
    manifest, truth, config = read_manifest(folder), read_truth(truth_path(video)), RunConfig()
    vocabulary = load_engine_vocabulary(folder, manifest)
    settings = [condition.settings or episode_settings(config, manifest) for condition in CONDITIONS]
    trackers = [Tracker(tracker_settings(config, each)) for each in settings]
    keepers = [EpisodeKeeper(vocabulary, site="site", camera=video.stem, model=_MODEL, settings=each) for each in settings]
    events: list[list[Event]] = [[] for _ in CONDITIONS]
    rngs = [np.random.default_rng((int(video.stem), number)) for number in range(len(CONDITIONS))]
    with open_source(str(video), source_id=video.stem) as source:
        for frame, (seconds, found) in zip(source, detections, strict=True):
            number = round(seconds * truth.video.fps)
            for condition, rng, tracker, keeper, emitted in zip(CONDITIONS, rngs, trackers, keepers, events, strict=True):
                if rng.random() < condition.dropped:
                    continue
                detected = found if condition.missed is None else true_detections(truth, number, vocabulary, rng, condition)
                emitted += keeper.update(frame, tracker.update(frame, detected))
    results = []
    for keeper, emitted in zip(keepers, events, strict=True):
        episodes = predicted_episodes(map(render, [*emitted, *keeper.close(EndReason.END_OF_STREAM)]))
        mixed = sum(has_two_people(truth, each) for each in episodes)
        results.append((score_events(truth, episodes, name=video.stem, min_seconds=MIN_SECONDS), len(episodes), mixed))
    return results


def short_recall(videos: Sequence[ScoredVideo], least: float, most: float) -> str:
    """Format the recall of the episodes of some length in seconds."""
    found = [each.match is not None for video in videos for each in video.truths if least <= each.episode.end - each.episode.start < most]
    return f"{sum(found) / max(1, len(found)):.2f} ({len(found)})"


def main() -> None:
    """Print a table of the conditions, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+", help="folders of videos")
    parser.add_argument("--engine", default="engines/default")
    parser.add_argument("--keep", type=Path, help="keep the detections here, for another run")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:
        videos = detect_all(arguments.videos, arguments.engine, arguments.keep)
        results = list(pool.map(partial(evaluate, engine=arguments.engine), videos))
    print("| detections | F1 | precision | recall | 1 to 1.5 s | to 3 s | longer | fragmentation | duplicates | mixed | emit p50 / p95 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for condition, of_videos in zip(CONDITIONS, zip(*results, strict=True), strict=True):
        scored = [each for each, _, _ in of_videos]
        metrics, delay = event_results(scored).overall, event_results(scored).overall.emit_delay
        mixed = sum(each for _, _, each in of_videos) / max(1, sum(each for _, each, _ in of_videos))
        recalls = " | ".join(short_recall(scored, *limits) for limits in ((MIN_SECONDS, 1.5), (1.5, 3.0), (3.0, np.inf)))
        quality = " | ".join(f"{each:.3f}" for each in (metrics.f1, metrics.precision, metrics.recall))
        rest = f"{metrics.fragmentation:.3f} | {metrics.duplicates} | {100 * mixed:.1f} % | {delay.median:.2f} / {delay.p95:.2f} s"
        print(f"| {condition.name} | {quality} | {recalls} | {rest} |")


if __name__ == "__main__":
    main()
