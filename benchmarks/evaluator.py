"""Measure the evaluator at HICO-DET's size: time, and growth of memory.

    python benchmarks/evaluator.py [--data shared/data/hico_det] [--images 9658]

Predictions are random, 100 an image: the annotations of HICO-DET's test set, jittered, where they exist, and random ones. The
network is not included; the selection of 100 pairs among 64 x 600, with pair NMS, is timed separately.
"""

import argparse
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
from machine import describe_machine

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

from edge_hoi.detection import select_pairs
from edge_hoi.lab.datasets import HoiAnnotation, open_dataset
from edge_hoi.lab.evaluation import HicoEvaluator
from edge_hoi.types import Interactions
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "hico_det"
PREDICTIONS = 100
SELECTIONS = 300


def read_truth(folder: Path, count: int, vocabulary: Vocabulary, random: np.random.Generator) -> tuple[str, list[HoiAnnotation]]:
    """Read the real annotations, or generate as many random ones: 3.5 an image."""
    if folder.is_dir():
        dataset = open_dataset("hico_det", folder, "test")
        return "HICO-DET's test annotations", [dataset.annotation(index) for index in range(min(count, len(dataset)))]
    return "random annotations", [_random_truth(f"{number}.jpg", vocabulary, random) for number in range(count)]


def _random_truth(name: str, vocabulary: Vocabulary, random: np.random.Generator) -> HoiAnnotation:
    rows = int(random.integers(1, 7))
    hoi_ids = random.integers(0, len(vocabulary), rows)
    humans, objects = _random_boxes(rows, random), _random_boxes(rows, random)
    return HoiAnnotation(name, humans, objects, hoi_ids, vocabulary.object_ids[hoi_ids], vocabulary.verb_ids[hoi_ids])


def _random_boxes(count: int, random: np.random.Generator) -> np.ndarray:
    corners = random.uniform(0, 600, (count, 2, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def make_predictions(truth: HoiAnnotation, vocabulary: Vocabulary, random: np.random.Generator) -> Interactions:
    """Predict the ground truth, jittered and with medium scores, among random pairs, half of these of true categories."""
    found = np.arange(len(truth))[:PREDICTIONS]
    rest = PREDICTIONS - len(found)
    hoi_ids = random.integers(0, len(vocabulary), rest)
    if len(truth):
        hoi_ids[: rest // 2] = random.choice(truth.hoi_ids, rest // 2)
    jitter = random.normal(0, 12, (2, len(found), 4)).astype(np.float32)
    humans = np.concatenate([truth.human_boxes[found] + jitter[0], _random_boxes(rest, random)])
    objects = np.concatenate([truth.object_boxes[found] + jitter[1], _random_boxes(rest, random)])
    hoi_ids = np.concatenate([truth.hoi_ids[found], hoi_ids])
    scores = np.concatenate([random.uniform(0.2, 1, len(found)), random.uniform(0, 0.8, rest)]).astype(np.float32)
    return Interactions(vocabulary, humans, objects, vocabulary.object_ids[hoi_ids], hoi_ids, scores).select(np.argsort(-scores))


def time_selection(vocabulary: Vocabulary, random: np.random.Generator) -> float:
    """Measure milliseconds of selecting an image's 100 pairs among those of 64 queries."""
    scores = random.uniform(0, 1, (64, len(vocabulary))).astype(np.float32)
    humans, objects = _random_boxes(64, random), _random_boxes(64, random)
    started = time.perf_counter()
    for _ in range(SELECTIONS):
        select_pairs(scores, humans, objects, vocabulary)
    return 1000 * (time.perf_counter() - started) / SELECTIONS


def evaluate(truths: list[HoiAnnotation], vocabulary: Vocabulary, seed: int) -> tuple[float, float, HicoEvaluator]:
    """Evaluate all images; return the evaluator's seconds for the images and for the metrics."""
    random = np.random.default_rng(seed)
    evaluator = HicoEvaluator(vocabulary)
    spent = 0.0
    for truth in truths:
        predictions = make_predictions(truth, vocabulary, random)
        started = time.perf_counter()
        evaluator.update(truth.file_name, predictions, truth)
        spent += time.perf_counter() - started
    started = time.perf_counter()
    evaluator.result()
    return spent, time.perf_counter() - started, evaluator


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of HICO-DET")
    parser.add_argument("--images", type=int, default=9658)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    vocabulary = load_vocabulary("hico_det")
    origin, truths = read_truth(arguments.data, arguments.images, vocabulary, np.random.default_rng(0))
    rows = sum(len(truth) for truth in truths)
    print(f"machine: {describe_machine()}")
    print(f"{len(truths)} images, {rows} triples ({origin}), {PREDICTIONS} random predictions each")
    runs = [evaluate(truths, vocabulary, seed=0) for _ in range(arguments.repeats)]
    for number, (images, metrics, _) in enumerate(runs, start=1):
        print(f"run {number}: images {images:6.2f} s ({1e6 * images / len(truths):.0f} us each), metrics {metrics:5.2f} s")
    print(f"selecting 100 of 64 x 600 pairs, with pair NMS: {time_selection(vocabulary, np.random.default_rng(0)):.2f} ms an image")
    evaluator = runs[-1][2]
    metrics = evaluator.result().metrics
    print(
        "metrics, %: "
        + ", ".join(f"{row} {name} {100 * value:.2f}" for row in ("default", "known object") for name, value in metrics[row].items())
    )
    del runs, evaluator
    tracemalloc.start()  # after the timed runs: it slows them down
    half = evaluate(truths[: len(truths) // 2], vocabulary, seed=0)[2]
    held = tracemalloc.get_traced_memory()[0]
    del half
    tracemalloc.reset_peak()
    whole = evaluate(truths, vocabulary, seed=0)[2]
    held_whole, peak = tracemalloc.get_traced_memory()
    print(
        f"memory held: {held / 1e6:.1f} MB after half of the images, {held_whole / 1e6:.1f} MB after all; {peak / 1e6:.1f} MB at the peak"
    )
    del whole


if __name__ == "__main__":
    main()
