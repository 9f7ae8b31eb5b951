"""Compare the tracker of people with SORT, ByteTrack and OC-SORT, by HOTA, IDF1 and MOTA; detections are the same and computed once.

    pip install trackers
    python benchmarks/tracking.py VIDEOS [--engine engines/default] [--keep FOLDER]
    python benchmarks/tracking.py --speed

The other trackers and the metrics (TrackEval's definitions) are of the package `trackers`, which this project does not need otherwise. All
get each distinct person of a frame once, and are evaluated on the boxes of the people whom they give an id. `--speed` measures the time of
tracking and episodes with 20 people and 40 objects, in processor time of the thread.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from event_settings import Detections, detect_all

from edge_hoi.boxes import pairwise_iou
from edge_hoi.config import RunConfig
from edge_hoi.events import EpisodeKeeper
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import Truth, read_truth, truth_path
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.thresholds import episode_settings, tracker_settings
from edge_hoi.runtime import read_manifest
from edge_hoi.tracking import Tracker, TrackerSettings
from edge_hoi.tracking.observations import Observations, group_observations
from edge_hoi.types import HUMAN_CATEGORY, NO_OBJECT, ClockInfo, Frame, Interactions, ModelInfo
from edge_hoi.vocabulary import load_vocabulary

Follow = Callable[[Frame, Interactions, Observations], tuple[np.ndarray, np.ndarray]]
"""Returns `(P,)` ids and `(P, 4)` boxes of the people of a frame."""

PEOPLE, OBJECTS_EACH, HOIS_EACH, FRAMES = 20, 2, 4, 300
_WARM_UP = 30


def own(settings: TrackerSettings) -> Follow:
    """Follow people with this project's tracker."""
    tracker = Tracker(settings)

    def follow(frame: Frame, found: Interactions, _seen: Observations) -> tuple[np.ndarray, np.ndarray]:
        tracked = tracker.update(frame, found)
        ids, rows = np.unique(tracked.human_ids, return_index=True)
        return ids, tracked.human_boxes[rows]

    return follow


def other(name: str, fps: float, threshold: float) -> Follow:
    """Follow people with a tracker of the package `trackers`."""
    import supervision
    import trackers

    options = {"lost_track_buffer": 60, "frame_rate": fps}  # 60 frames of 30 in a second: 2 s, as this project's tracker
    if name != "OCSORTTracker":
        options["track_activation_threshold"] = threshold
    if name != "SORTTracker":
        options["high_conf_det_threshold"] = threshold
    tracker = getattr(trackers, name)(**options)

    def follow(_frame: Frame, _found: Interactions, seen: Observations) -> tuple[np.ndarray, np.ndarray]:
        people = seen.category_ids == NO_OBJECT
        tracked = tracker.update(supervision.Detections(xyxy=seen.boxes[people], confidence=seen.scores[people]))
        known = tracked.tracker_id >= 0
        return tracked.tracker_id[known], tracked.xyxy[known]

    return follow


def measure(truth: Truth, video: Path, detections: Detections, follow: Follow, duplicate_iou: float) -> tuple[list[dict], float]:
    """Return the three kinds of metrics of a video, and the milliseconds of processor time a frame."""
    from trackers.eval.clear import compute_clear_metrics
    from trackers.eval.hota import compute_hota_metrics
    from trackers.eval.identity import compute_identity_metrics

    people = {name: each for name, each in truth.tracks.items() if each.category == HUMAN_CATEGORY}
    true_ids, ids, similarities, spent = [], [], [], 0.0
    with open_source(str(video), source_id=video.stem) as source:
        for frame, (seconds, found) in zip(source, detections, strict=True):
            seen, number = group_observations(found, duplicate_iou=duplicate_iou), round(seconds * truth.video.fps)
            _ = frame.image  # decoding is not tracking
            began = time.thread_time()
            found_ids, boxes = follow(frame, found, seen)
            spent += time.thread_time() - began
            here = {name: each.boxes[each.frames == number][0] for name, each in people.items() if number in each.frames}
            true_ids.append(np.array(list(here), np.int64))
            ids.append(np.asarray(found_ids, np.int64))
            similarities.append(pairwise_iou(np.array(list(here.values()), np.float64).reshape(-1, 4), np.asarray(boxes).reshape(-1, 4)))
    parts = [_from_zero(true_ids), _from_zero(ids), similarities]
    return [compute(*parts) for compute in (compute_hota_metrics, compute_identity_metrics, compute_clear_metrics)], 1e3 * spent / len(ids)


def _from_zero(ids: Sequence[np.ndarray]) -> list[np.ndarray]:
    known = np.unique(np.concatenate(ids))
    return [np.searchsorted(known, each) for each in ids]


def compare(folders: Sequence[Path], engine: str, kept: Path | None) -> None:
    """Print the table of the trackers."""
    from trackers.eval.clear import aggregate_clear_metrics
    from trackers.eval.hota import aggregate_hota_metrics
    from trackers.eval.identity import aggregate_identity_metrics

    config, manifest = RunConfig(), read_manifest(engine_folder(engine))
    settings = tracker_settings(config, episode_settings(config, manifest))
    videos = detect_all(folders, engine, kept)
    print(f"{len(videos)} videos, people with a score of at least {settings.new_track_threshold}\n")
    print("| tracker | HOTA | AssA | IDF1 | MOTA | ID switches | ms a frame |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in ("edge-hoi", "SORTTracker", "ByteTrackTracker", "OCSORTTracker"):
        measured = []
        for video, detections in videos:
            truth = read_truth(truth_path(video))
            follow = own(settings) if name == "edge-hoi" else other(name, truth.video.fps, settings.new_track_threshold)
            measured.append(measure(truth, video, detections, follow, settings.duplicate_iou))
        hota, identity, clear = (
            aggregate([metrics[place] for metrics, _ in measured])
            for place, aggregate in enumerate((aggregate_hota_metrics, aggregate_identity_metrics, aggregate_clear_metrics))
        )
        quality = " | ".join(f"{100 * each:.1f}" for each in (hota["HOTA"], hota["AssA"], identity["IDF1"], clear["MOTA"]))
        milliseconds = np.mean([each for _, each in measured])
        print(f"| {name.removesuffix('Tracker')} | {quality} | {clear['IDSW']} | {milliseconds:.2f} |", flush=True)


def measure_speed() -> None:
    """Print the time of tracking and episodes with many people."""
    vocabulary, rng = load_vocabulary("hico_det"), np.random.default_rng(0)
    hois_of: dict[int, list[int]] = {}
    for row, hoi in enumerate(vocabulary.hois):
        hois_of.setdefault(hoi.object_id, []).append(row)
    nouns = [noun for noun, rows in hois_of.items() if len(rows) >= HOIS_EACH]
    tracker, keeper = (
        Tracker(),
        EpisodeKeeper(vocabulary, site="site", camera="camera", model=ModelInfo("engine", "0" * 64, "none", "none")),
    )
    patches = rng.integers(0, 255, (45, 80, 3), np.uint8)  # of 16 x 16 pixels: single ones of noise would make appearances change
    image, times = patches.repeat(16, axis=0).repeat(16, axis=1), []
    for index in range(FRAMES):
        rows = []
        for person in range(PEOPLE):
            left = 60.0 * person + 20 * np.sin(index / 30 + person)
            human = np.array([left, 200, left + 90, 520]) + rng.normal(0, 1, 4)
            for number in range(OBJECTS_EACH):
                noun = nouns[(OBJECTS_EACH * person + number) % len(nouns)]
                thing = np.array([left + 10 + 40 * number, 300, left + 40 + 40 * number, 340]) + rng.normal(0, 1, 4)
                rows += [(human, thing, noun, hoi, rng.uniform(0.6, 0.95)) for hoi in hois_of[noun][:HOIS_EACH]]
        rows.sort(key=lambda row: -row[4])
        humans, things, categories, hois, scores = zip(*rows, strict=True)
        found = Interactions(
            vocabulary,
            np.array(humans, np.float32),
            np.array(things, np.float32),
            np.array(categories),
            np.array(hois),
            np.array(scores, np.float32),
        )
        frame = Frame(image, index / 15, None, ClockInfo("media", "relative"), 0.0, index, "camera")
        began = time.thread_time()
        tracked = tracker.update(frame, found)
        between = time.thread_time()
        keeper.update(frame, tracked)
        times.append((between - began, time.thread_time() - between))
    tracking, episodes = 1e3 * np.median(np.array(times[_WARM_UP:]), axis=0)
    count = len(keeper.current())
    print(f"{len(tracked.tracks)} tracks, {len(found)} interactions, {count} open episodes, 720p: medians of {FRAMES - _WARM_UP} frames")
    print(f"tracking {tracking:.2f} ms, episodes {episodes:.2f} ms, together {tracking + episodes:.2f} ms")


def main() -> None:
    """Compare trackers, or measure the speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*", help="folders of videos with ground truth")
    parser.add_argument("--engine", default="engines/default")
    parser.add_argument("--keep", type=Path, help="keep the detections here, for another run")
    parser.add_argument("--speed", action="store_true")
    arguments = parser.parse_args()
    if arguments.speed:
        measure_speed()
    else:
        compare(arguments.videos, arguments.engine, arguments.keep)


if __name__ == "__main__":
    main()
