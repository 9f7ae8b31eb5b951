"""Train the photo engine's pair head and measure it: `python benchmarks/photo_head.py [--head FILE]`.

Without --head it trains one into RUN first, as `edge-hoi train pairs` does: under an hour on two cores. Then it measures on held-out images
of HICO-DET and V-COCO with a simulated detector; on HICO-DET's test annotations, with the annotated boxes and with a simulated detector; on
photographs with a real detector; and plots reliability and curves. Test annotations and photographs are used for nothing else.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import onnxruntime
import torch
from machine import describe_machine
from photo_scenes import read_vcoco_scenes

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

from edge_hoi.boxes import xyxy_from_cxcywh
from edge_hoi.detection import Classifier, pair_scores, select_pairs
from edge_hoi.detection.postprocess import pair_nms
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.sized_annotations import SizedAnnotation, read_sized_annotations
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.lab.evaluation import HicoEvaluator
from edge_hoi.lab.evaluation.records import all_point_ap, best_match, pixel_iou
from edge_hoi.lab.training.pairs.calibration import calibration_error, reliability
from edge_hoi.lab.training.pairs.pair_precision import TripletScores, average_precisions, mean_precisions, score_pairs
from edge_hoi.lab.training.pairs.scenes import (
    Scenes,
    annotated_pairs,
    categories_of_classes,
    pair_frequencies,
    scenes_from_annotations,
)
from edge_hoi.lab.training.pairs.simulated_detector import Detections, SimulatedDetector, SimulationConfig, exact_detections
from edge_hoi.lab.training.pairs.trainer import HEAD_FILE, PairTrainer, PairTrainingConfig
from edge_hoi.model.pair_geometry import distance
from edge_hoi.model.pair_head import PERSON, PairHead, load_pair_head
from edge_hoi.vocabulary import Vocabulary, load_vocabulary

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = Path(__file__).parent / "results" / "photo_head"
BATCH = 64
FIRST, SECOND = PairTrainingConfig(epochs=12, seed=0), PairTrainingConfig(epochs=3, seed=1, learning_rate=1.5e-3)
WORSE = SimulationConfig(phantom_level=-1.25, phantom_spread=0.75, in_vain=2.5)
"""The two runs that made the head: with a detector that is surer of what is not there than a real one, then with one like it."""
LEAST_TRIPLETS = 10
STRICT_IOU = 0.75
"""HICO-DET has a box for each pair: at this limit fewer of them are taken for one object, and more pairs are false."""
SEED_OF_TEST_DETECTIONS = 12345
VOCABULARY, VCOCO = load_vocabulary("hico_det"), load_vocabulary("vcoco")


@dataclass
class Figures:
    """One row of the table: average precision of pairs and by HICO-DET's protocol, in percent, by columns."""

    name: str
    pairs: dict[str, float]
    protocol: dict[str, float]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with hico_det, vcoco and detector")
    parser.add_argument("--head", type=Path, help="measure this head instead of training one")
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "pairs", help="folder of the training run, with metrics.jsonl")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    train = scenes_from_annotations(read_sized_annotations(options.data / "hico_det" / "train2015_pairs.json.gz"), VOCABULARY)
    more = read_vcoco_scenes(options.data / "vcoco" / "instances_vcoco_trainval.json")
    trainer = PairTrainer(train, SECOND, options.run, more=more)
    if options.head is None:
        started = time.monotonic()
        first = PairTrainer(train, FIRST, options.run / "first", more=more, simulation=WORSE).run()
        trainer = PairTrainer(train, SECOND, options.run, more=more, start=first)
        trainer.run()
        print(f"trained in {(time.monotonic() - started) / 60:.0f} minutes")
    head = load_pair_head(options.head or options.run / HEAD_FILE)
    print(describe_machine("torch", "onnxruntime"))
    held_out, of_vcoco = (score_pairs(head, trainer.detections(scenes), scenes) for scenes in trainer.held_out)
    plot_reliability({"HICO-DET": held_out, "V-COCO": of_vcoco}, options.output / "reliability.png")
    if (options.run / "metrics.jsonl").is_file():
        plot_curves(options.run / "metrics.jsonl", options.output / "curves.png")
    print_verbs(held_out, VOCABULARY)
    print_verbs(of_vcoco, VCOCO)
    for row in measure_test(head, train, options.data / "hico_det" / "instances_test2015.json"):
        print_row(row)
    measure_photographs(head, options.data)


def print_verbs(scores: TripletScores, vocabulary: Vocabulary) -> None:
    """Print which verbs are told best and worst, by the share of their true triplets that score at least a half, and its precision."""
    verbs = vocabulary.verb_ids[scores.hoi_ids]
    rows = []
    for verb_id, verb in enumerate(vocabulary.verbs):
        is_true, is_found = scores.is_true[verbs == verb_id], scores.scores[verbs == verb_id] >= 0.5
        if is_true.sum() >= LEAST_TRIPLETS:
            precision = is_true[is_found].mean() if is_found.any() else np.nan
            rows.append((is_found[is_true].mean(), precision, int(is_true.sum()), verb))
    for recall, precision, count, verb in sorted(rows, reverse=True):
        print(f"| {verb} | {count} | {recall:.2f} | {precision:.2f} |")


def print_row(row: Figures) -> None:
    """Print a row of the results' table."""
    values = [f"{100 * each:.1f}" for figures in (row.pairs, row.protocol) for each in figures.values()]
    print(f"| {row.name} | {' | '.join(values)} |", flush=True)


def measure_test(head: PairHead, train: Scenes, path: Path) -> list[Figures]:
    """Measure the head and the priors on test annotations."""
    images = {image.annotation.file_name: image for image in read_sized_annotations(path)}
    truth = read_hico_det(path)
    scenes = scenes_from_annotations(list(images.values()), VOCABULARY)
    detected = SimulatedDetector(
        VOCABULARY, SimulationConfig(clean_share=0.0, clutter_share=0.0, zoom_share=0.0, flip_share=0.0), seed=SEED_OF_TEST_DETECTIONS
    ).detect(scenes)
    rows = []
    for name, is_nearest in (("prior of the class", False), ("prior of the class and nearest person", True)):
        pair_scores, boxes = score_by_prior(train, scenes, is_nearest=is_nearest)
        rows.append(Figures(name, mean_precisions(average_precisions(pair_scores, VOCABULARY), VOCABULARY), protocol(boxes, images, truth)))
    strict = scenes_from_annotations(list(images.values()), VOCABULARY, same_object_iou=STRICT_IOU)
    for name, is_nearest in (("prior of the class", False), ("prior of the class and nearest person", True)):
        pair_scores, _ = score_by_prior(train, strict, is_nearest=is_nearest)
        rows.append(
            Figures(
                f"{name}, boxes merged above {STRICT_IOU}", mean_precisions(average_precisions(pair_scores, VOCABULARY), VOCABULARY), {}
            )
        )
    values = mean_precisions(average_precisions(score_pairs(head, exact_detections(strict), strict), VOCABULARY), VOCABULARY)
    rows.append(Figures(f"head, annotated boxes merged above {STRICT_IOU}", values, {}))
    for name, detections in (("head, annotated boxes", exact_detections(scenes)), ("head, simulated detector", detected)):
        values = mean_precisions(average_precisions(score_pairs(head, detections, scenes), VOCABULARY), VOCABULARY)
        rows.append(Figures(name, values, protocol(score_images(head, detections), images, truth)))
    return rows


Scored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""An image's Q pairs: human and object boxes `(Q, 4)` xyxy in [0, 1], and `(Q, N)` scores of categories, or of roles."""


def score_images(head: PairHead, detections: Detections, vocabulary: Vocabulary = VOCABULARY) -> list[Scored]:
    """Score every image as an engine does."""
    classifier = Classifier(**head.classifier_arrays(vocabulary.name))
    scored: list[Scored] = []
    with torch.inference_mode():
        for first in range(0, len(detections.labels), BATCH):
            found = head(*(tensor[first : first + BATCH] for tensor in detections[:3]))
            for row, chosen in enumerate(found.object_embeddings.any(dim=-1)):
                outputs = {name: tensor[row, chosen].numpy() for name, tensor in found._asdict().items()}
                scores = pair_scores(*classifier.logits(outputs), vocabulary.object_ids, "product")
                scored.append((xyxy_from_cxcywh(outputs["human_boxes"]), xyxy_from_cxcywh(outputs["object_boxes"]), scores))
    return scored


def score_by_prior(train: Scenes, scenes: Scenes, *, is_nearest: bool) -> tuple[TripletScores, list[Scored]]:
    """Score pairs by how often a category is true of a pair of its class; 0 for all but the nearest person, if wanted."""
    frequencies, table = pair_frequencies(train).numpy(), categories_of_classes()[0].numpy()
    image, person, thing = annotated_pairs(scenes)
    distances = distance(scenes.boxes[:, :, None], scenes.boxes[:, None])
    distances[scenes.labels != PERSON] = 9
    distances.diagonal(dim1=1, dim2=2).fill_(9)
    weight = (distances.argmin(dim=1)[image, thing] == person).float().numpy() if is_nearest else np.ones(len(image), np.float32)
    hoi_ids = table[scenes.labels[image, thing].numpy()]
    random = np.random.default_rng(0).uniform(0, 1e-6, hoi_ids.shape)  # ties in random order, not in that of the file
    scores = (frequencies[hoi_ids] * weight[:, None] + random).astype(np.float32)
    is_category = hoi_ids >= 0
    targets = scenes.targets[image, person, thing].numpy()
    triplets = TripletScores(hoi_ids[is_category], scores[is_category], targets[is_category])
    boxes: list[Scored] = []
    bounds = np.searchsorted(image.numpy(), np.arange(len(scenes) + 1))
    for row, (first, end) in enumerate(pairwise(bounds)):
        matrix = np.zeros((end - first, len(VOCABULARY)), np.float32)
        pairs, places = np.nonzero(is_category[first:end])
        matrix[pairs, hoi_ids[first:end][pairs, places]] = scores[first:end][pairs, places]
        boxes.append((scenes.boxes[row, person[first:end]].numpy(), scenes.boxes[row, thing[first:end]].numpy(), matrix))
    return triplets, boxes


def protocol(scored: list[Scored], images: dict[str, SizedAnnotation], truth: tuple[HoiAnnotation, ...]) -> dict[str, float]:
    """Evaluate by HICO-DET's protocol, default setting; `images` are those with annotations, in the order of `scored`."""
    evaluator = HicoEvaluator(VOCABULARY)
    by_name = dict(zip(images, scored, strict=True))
    nothing = (np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32), np.zeros((0, len(VOCABULARY)), np.float32))
    for annotation in truth:
        humans, objects, scores = by_name.get(annotation.file_name, nothing)
        image = images.get(annotation.file_name)
        size = np.array([image.width, image.height] * 2, np.float32) if image else np.ones(4, np.float32)
        evaluator.update(annotation.file_name, select_pairs(scores, humans * size, objects * size, VOCABULARY), annotation)
    return evaluator.result().metrics["default"]


def measure_photographs(head: PairHead, data: Path) -> None:
    """Compare what is found in photographs with V-COCO's annotations: average precision over all roles together."""
    files = [data / "vcoco" / f"instances_vcoco_{split}.json" for split in ("test", "trainval")]
    truth = {annotation.file_name: annotation for file in files for annotation in read_vcoco(file)}
    session = onnxruntime.InferenceSession(data / "detector" / "deimv2_hgnetv2_femto_coco.onnx")
    scores, hits, positives = [], [], 0
    for path in sorted((data / "vcoco" / "images").glob("*.jpg")):
        annotation = next(each for name, each in truth.items() if name.endswith(path.name))
        role_scores, is_hit = match_roles(*find_roles(head, session, cv2.imread(str(path))), annotation)
        scores.append(role_scores)
        hits.append(is_hit)
        positives += len(annotation)
    ranked = np.argsort(-np.concatenate(scores), kind="stable")
    all_scores, all_hits = np.concatenate(scores)[ranked], np.concatenate(hits)[ranked]
    print(f"photographs: {len(hits)}, {positives} triplets, micro-AP {100 * all_point_ap(all_hits, positives):.1f}")
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7):
        found = all_hits[all_scores >= threshold]
        precision, recall = found.mean() if len(found) else 0, found.sum() / positives
        print(f"  score >= {threshold}: {len(found)} found, {found.sum()} right, precision {precision:.2f}, recall {recall:.2f}")


def find_roles(head: PairHead, session: onnxruntime.InferenceSession, image: np.ndarray) -> Scored:
    """Find pairs, with boxes in pixels, and scores of V-COCO's roles."""
    height, width = image.shape[:2]
    resized = cv2.cvtColor(cv2.resize(image, (416, 416)), cv2.COLOR_BGR2RGB).astype(np.float32).transpose(2, 0, 1)[None] / 255
    inputs = {"images": resized, "orig_target_sizes": np.array([[1, 1]], np.int64)}
    labels, boxes, scores = map(torch.from_numpy, session.run(["labels", "boxes", "scores"], inputs))
    ((humans, objects, matrix),) = score_images(head, Detections(labels, boxes, scores, torch.zeros_like(labels)), VCOCO)
    size = np.array([width, height] * 2, np.float32)
    roles = np.stack([matrix[:, VCOCO.verb_ids == verb_id].max(axis=1) for verb_id in range(len(VCOCO.verbs))], axis=1)
    return humans * size, objects * size, roles


def match_roles(humans: np.ndarray, objects: np.ndarray, roles: np.ndarray, annotation: HoiAnnotation) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of an image's triplets, best first and without duplicates of a better one, and which are annotated."""
    order = np.argsort(-roles.ravel(), kind="stable")
    rows, verbs = np.divmod(order[roles.ravel()[order] > 0], roles.shape[1])
    kept = pair_nms(humans[rows], objects[rows], verbs)
    rows, verbs = rows[kept], verbs[kept]
    overlaps = np.minimum(pixel_iou(humans[rows], annotation.human_boxes), pixel_iou(objects[rows], annotation.object_boxes))
    _, is_hit = best_match(overlaps, verbs[:, None] == annotation.verb_ids)
    return roles[rows, verbs], is_hit


def plot_reliability(scores: dict[str, TripletScores], path: Path) -> None:
    """Plot scores of held-out training images, by data set, against the share that is right."""
    figure, axes = plt.subplots(figsize=(4.5, 4.5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    for name, of_set in scores.items():
        bins = reliability(of_set)
        label = f"{name}; mean error above 0.1: {calibration_error(bins[1:]):.3f}"
        axes.plot([each.mean_score for each in bins], [each.share_true for each in bins], "o-", label=label)
        for each in bins:
            axes.annotate(str(each.count), (each.mean_score, each.share_true), fontsize=7, xytext=(3, -9), textcoords="offset points")
            print(f"| {name} | {each.mean_score:.2f} | {each.share_true:.2f} | {each.count} |")
    axes.legend(fontsize=7)
    axes.set(xlabel="mean score", ylabel="share that is right", title="held-out images")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def plot_curves(metrics: Path, path: Path) -> None:
    """Plot loss and held-out average precision by step."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    figure, axes = plt.subplots(figsize=(6, 3.6))
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    axes.plot(*zip(*losses, strict=True), color="tab:blue")
    axes.set(xlabel="steps", ylabel="loss", ylim=(0, losses[len(losses) // 10][1] * 1.5))
    beside = axes.twinx()
    names = [f"{vocabulary} {boxes}" for vocabulary in ("hico_det", "vcoco") for boxes in ("exact", "detected")]
    for name, style in zip(names, ("o-", "s-", "o--", "s--"), strict=True):
        points = [(row["step"], row[f"evaluation/{name}/full"]) for row in rows if f"evaluation/{name}/full" in row]
        beside.plot(*zip(*points, strict=True), style, color="tab:red", label=f"{name} boxes")
    beside.set_ylabel("held-out average precision, %", color="tab:red")
    beside.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
