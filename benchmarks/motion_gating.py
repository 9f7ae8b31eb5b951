"""Measure what motion gating saves and costs: `python benchmarks/motion_gating.py VIDEOS … [--engine NAME] [--keep FOLDER]`.

Detections of every frame are computed once (`--keep` keeps them for another run). Then tracking and episodes run twice: with each frame's
own detections, and as `detect_when: motion` does. With ground truth (NAME.truth.json) both are scored by it; without, the gated events
by the others: their F1 is the agreement of the two.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from event_settings import Detections, detect, read_detections, write_detections
from machine import describe_machine

from edge_hoi.config import RunConfig, parse_config
from edge_hoi.events import EpisodeKeeper
from edge_hoi.events.cloudevents import render
from edge_hoi.ingest import open_source
from edge_hoi.lab.datasets.truth import read_truth, truth_path
from edge_hoi.lab.evaluation.events import ScoredVideo, event_results, predicted_episodes, score_events
from edge_hoi.lab.evaluation.events.predicted import PredictedEpisode
from edge_hoi.pipeline.classifiers import load_engine_vocabulary
from edge_hoi.pipeline.engines import engine_folder
from edge_hoi.pipeline.motion import MotionGate
from edge_hoi.pipeline.thresholds import episode_settings, tracker_settings
from edge_hoi.runtime import read_manifest
from edge_hoi.tracking import Tracker
from edge_hoi.types import EndReason, Event, ModelInfo

MIN_SECONDS = 1.0
MIN_TEMPORAL_IOU = 0.5


class _Scored(NamedTuple):
    """A video's events, scored by its ground truth."""

    always: ScoredVideo
    motion: ScoredVideo


_MODEL = ModelInfo("engine", "0" * 64, "openvino", "fp32")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--engine", default="default")
    parser.add_argument("--thresholds", type=float, nargs=2, metavar=("ENTER", "LEAVE"), help="of episodes; the engine's own if absent")
    parser.add_argument("--keep", type=Path, help="keep the detections in this folder")
    parser.add_argument("--output", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    config = RunConfig()
    if arguments.thresholds:
        config = parse_config({"episodes": dict(zip(("enter", "leave"), arguments.thresholds, strict=True))}, origin="--thresholds")
    text = report(arguments.videos, arguments.engine, config, arguments.keep)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def report(videos: Sequence[Path], engine: str, config: RunConfig, kept: Path | None) -> str:
    """Replay all videos, and format the results as Markdown."""
    lines = [describe_machine(), "", f"engine {engine}", "", "| video | frames | detections saved | F1 always | F1 motion | ms a frame |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    scored: list[_Scored] = []
    milliseconds: list[float] = []
    saved = frames = 0
    agreed: list[tuple[int, float]] = []
    for video in videos:
        detections = kept_detections(video, engine, kept)
        always, _, _ = replay(video, detections, engine, config, gate=None)
        motion, skipped, costs = replay(video, detections, engine, config, gate=MotionGate())
        saved, frames, milliseconds = saved + skipped, frames + len(detections), milliseconds + costs
        share = f"| {video.stem} | {len(detections)} | {skipped / len(detections):.0%}"
        if truth_path(video).exists():
            truth = read_truth(truth_path(video))
            scored.append(
                _Scored(*(score_events(truth, _episodes(each), name=video.stem, min_seconds=MIN_SECONDS) for each in (always, motion)))
            )
            before, after = f1(scored[-1:])
            lines.append(f"{share} | {before:.3f} | {after:.3f} | {statistics.median(costs):.2f} |")
        else:
            agreed.append((len(spans(always)) + len(spans(motion)), agreement(always, motion)))
            lines.append(f"{share} | {len(spans(always))} events | {agreed[-1][1]:.3f} | {statistics.median(costs):.2f} |")
    total = f"| all | {frames} | {saved / frames:.0%} |"
    if scored:
        total += " {:.3f} | {:.3f} |".format(*f1(scored))
    else:
        weight = max(1, sum(count for count, _ in agreed))
        total += f" {weight // 2} events | {sum(count * each for count, each in agreed) / weight:.3f} |"
    return "\n".join([*lines, f"{total} {statistics.median(milliseconds):.2f} |"])


def kept_detections(video: Path, engine: str, kept: Path | None) -> Detections:
    """Read the detections of every frame of a video, or compute them."""
    cache = kept / f"{video.stem}.npz" if kept else None
    if cache and cache.exists():
        folder = engine_folder(engine)
        return read_detections(cache, load_engine_vocabulary(folder, read_manifest(folder)))
    detections = detect(video, engine)
    if cache:
        write_detections(cache, detections)
    return detections


def replay(
    video: Path, detections: Detections, engine: str, config: RunConfig, *, gate: MotionGate | None
) -> tuple[list[Event], int, list[float]]:
    """Track a video's detections and keep its episodes.

    Returns:
        Its events, the number of frames without detection, and the milliseconds of processor time that the gate took in each frame.
    """
    folder = engine_folder(engine)
    manifest = read_manifest(folder)
    vocabulary = load_engine_vocabulary(folder, manifest)
    episodes = episode_settings(config, manifest)
    tracker = Tracker(tracker_settings(config, episodes))
    keeper = EpisodeKeeper(vocabulary, site="site", camera=video.stem, model=_MODEL, settings=episodes)
    events, skipped, costs, tracked = [], 0, [], None
    with open_source(str(video), source_id=video.stem) as source:
        for frame, (_, interactions) in zip(source, detections, strict=True):
            began = time.thread_time()
            is_selected = gate is None or gate.selects(frame)
            costs.append(1000 * (time.thread_time() - began))
            if is_selected or tracked is None:
                tracked = tracker.update(frame, interactions)
            skipped += not is_selected
            events += keeper.update(frame, tracked)
    return events + keeper.close(EndReason.END_OF_STREAM), skipped, costs


def f1(scored: Sequence[_Scored]) -> tuple[float, float]:
    """Return the F1 of all videos, always and with motion gating."""
    return event_results([each.always for each in scored]).overall.f1, event_results([each.motion for each in scored]).overall.f1


def _episodes(events: Sequence[Event]) -> list[PredictedEpisode]:
    return predicted_episodes([render(event) for event in events])


def spans(events: Sequence[Event]) -> list[tuple[str, float, float]]:
    """Return text, start and end in seconds of each episode."""
    ended = [event for event in events if event.end is not None]
    return [(event.text, event.start.pts_seconds, event.end.pts_seconds) for event in ended if event.end is not None]


def agreement(expected: Sequence[Event], events: Sequence[Event]) -> float:
    """Return the F1 of episodes against others, matched by text and temporal IoU."""
    left, found, matches = spans(expected), spans(events), 0
    total = len(left) + len(found)
    for text, start, end in found:
        overlaps = [
            ((min(end, other[2]) - max(start, other[1])) / max(1e-9, max(end, other[2]) - min(start, other[1])), other)
            for other in left
            if other[0] == text
        ]
        if overlaps and (best := max(overlaps))[0] >= MIN_TEMPORAL_IOU:
            matches += 1
            left.remove(best[1])
    return 2 * matches / total if total else 1.0


if __name__ == "__main__":
    main()
