"""Train the photo engine's pair head and measure it: `python benchmarks/photo_head.py [--head FILE]`.

Without --head it trains one into RUN first, as `edge-hoi train pairs` does: under an hour on two cores. Then it measures on HICO-DET's test
annotations, with the annotated boxes and with a simulated detector; on photographs with a real detector; and plots reliability and curves.
Test annotations and photographs are used for nothing else.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

from edge_hoi.boxes import xyxy_from_cxcywh
from edge_hoi.detection import select_pairs
from edge_hoi.lab.datasets.annotations import HoiAnnotation
from edge_hoi.lab.datasets.hico_det import read_hico_det
from edge_hoi.lab.datasets.sized_annotations import SizedAnnotation, read_sized_annotations
from edge_hoi.lab.datasets.vcoco import read_vcoco
from edge_hoi.lab.evaluation import HicoEvaluator
from edge_hoi.lab.evaluation.records import all_point_ap, best_match, pixel_iou
from edge_hoi.lab.training.pairs.calibration import calibration_error, reliability
from edge_hoi.lab.training.pairs.pair_precision import TripletScores, average_precisions, mean_precisions, score_pairs
from edge_hoi.lab.training.pairs.scenes import Scenes, annotated_pairs, categories_of_classes, pair_frequencies, scenes_from_annotations
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
SEED_OF_TEST_DETECTIONS = 12345
VOCABULARY = load_vocabulary("hico_det")

ROLES = {
    "hold_obj": ["hold"],
    "carry_obj": ["carry"],
    "sit_instr": ["sit_on", "sit_at", "straddle"],
    "ride_instr": ["ride", "drive"],
    "jump_instr": ["jump"],
    "eat_obj": ["eat"],
    "drink_instr": ["drink_with"],
    "cut_obj": ["cut"],
    "cut_instr": ["cut_with"],
    "hit_obj": ["hit"],
    "hit_instr": ["swing"],
    "throw_obj": ["throw"],
    "catch_obj": ["catch"],
    "kick_obj": ["kick"],
    "read_obj": ["read"],
    "look_obj": ["watch", "inspect"],
    "talk_on_phone_instr": ["talk_on"],
    "work_on_computer_instr": ["type_on"],
    "lay_instr": ["lie_on"],
}
"""HICO-DET's verbs of V-COCO's roles."""
BOARDS = {"skis": "ski_instr", "snowboard": "snowboard_instr", "surfboard": "surf_instr", "skateboard": "skateboard_instr"}
"""Objects whose `ride`, `stand_on` and `jump` V-COCO calls by another name."""


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
    trainer = PairTrainer(train, PairTrainingConfig(), options.run)
    if options.head is None:
        started = time.monotonic()
        trainer.run()
        print(f"trained in {(time.monotonic() - started) / 60:.0f} minutes")
    head = load_pair_head(options.head or options.run / HEAD_FILE)
    print(describe_machine("torch", "onnxruntime"))
    held_out = score_pairs(head, trainer.detections(trainer.held_out), trainer.held_out)
    plot_reliability(held_out, options.output / "reliability.png")
    if (options.run / "metrics.jsonl").is_file():
        plot_curves(options.run / "metrics.jsonl", options.output / "curves.png")
    for row in measure_test(head, train, options.data / "hico_det" / "instances_test2015.json"):
        print_row(row)
    measure_photographs(head, options.data)


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
    for name, detections in (("head, annotated boxes", exact_detections(scenes)), ("head, simulated detector", detected)):
        values = mean_precisions(average_precisions(score_pairs(head, detections, scenes), VOCABULARY), VOCABULARY)
        rows.append(Figures(name, values, protocol(score_images(head, detections), images, truth)))
    return rows


Scored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""An image's Q pairs: human and object boxes `(Q, 4)` xyxy in [0, 1], and `(Q, 600)` scores."""


def score_images(head: PairHead, detections: Detections) -> list[Scored]:
    """Score every image as an engine does."""
    arrays = head.classifier_arrays()
    weight, bias = torch.from_numpy(arrays["hoi_weight"]), torch.from_numpy(arrays["hoi_bias"])
    scored: list[Scored] = []
    with torch.inference_mode():
        for first in range(0, len(detections.labels), BATCH):
            found = head(*(tensor[first : first + BATCH] for tensor in detections[:3]))
            is_pair = found.object_embeddings.any(dim=-1)
            for row, chosen in enumerate(is_pair):
                scores = (found.interaction_embeddings[row, chosen] @ weight.T + bias).sigmoid()
                humans, objects = (xyxy_from_cxcywh(boxes[row, chosen].numpy()) for boxes in found[:2])
                scored.append((humans, objects, scores.numpy()))
    return scored


def score_by_prior(train: Scenes, scenes: Scenes, *, is_nearest: bool) -> tuple[TripletScores, list[Scored]]:
    """Score pairs by how often a category is true of a pair of its class; 0 for all but the nearest person, if wanted."""
    frequencies, table = pair_frequencies(train).numpy(), categories_of_classes(VOCABULARY)
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
    truth = {annotation.file_name: annotation for annotation in read_vcoco(data / "vcoco" / "instances_vcoco_test.json")}
    session = onnxruntime.InferenceSession(data / "detector" / "deimv2_hgnetv2_femto_coco.onnx")
    scores, hits, positives = [], [], 0
    roles = load_vocabulary("vcoco").verbs
    for path in sorted((data / "vcoco" / "images").glob("*.jpg")):
        annotation = next(each for name, each in truth.items() if name.endswith(path.name))
        humans, objects, role_scores = role_triplets(head, session, cv2.imread(str(path)), roles)
        order = np.argsort(-role_scores, kind="stable")
        verbs = np.tile(np.arange(len(roles)), (len(humans), 1)).ravel()[order]
        rows = order // len(roles)
        overlaps = np.minimum(pixel_iou(humans[rows], annotation.human_boxes), pixel_iou(objects[rows], annotation.object_boxes))
        _, is_hit = best_match(overlaps, verbs[:, None] == annotation.verb_ids)
        is_kept = role_scores[order] > 0
        scores.append(role_scores[order][is_kept])
        hits.append(is_hit[is_kept])
        positives += len(annotation)
    ranked = np.argsort(-np.concatenate(scores), kind="stable")
    all_scores, all_hits = np.concatenate(scores)[ranked], np.concatenate(hits)[ranked]
    print(f"photographs: {len(hits)}, {positives} triplets, micro-AP {100 * all_point_ap(all_hits, positives):.1f}")
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7):
        found = all_hits[all_scores >= threshold]
        precision, recall = found.mean() if len(found) else 0, found.sum() / positives
        print(f"  score >= {threshold}: {len(found)} found, {found.sum()} right, precision {precision:.2f}, recall {recall:.2f}")


def role_triplets(
    head: PairHead, session: onnxruntime.InferenceSession, image: np.ndarray, roles: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find pairs `(Q, 4)`, `(Q, 4)` in pixels, and flat scores `(Q * roles)` of V-COCO's roles; the worse of two equal triplets is 0."""
    height, width = image.shape[:2]
    resized = cv2.cvtColor(cv2.resize(image, (416, 416)), cv2.COLOR_BGR2RGB).astype(np.float32).transpose(2, 0, 1)[None] / 255
    inputs = {"images": resized, "orig_target_sizes": np.array([[1, 1]], np.int64)}
    labels, boxes, scores = session.run(["labels", "boxes", "scores"], inputs)
    detections = Detections(*map(torch.from_numpy, (labels, boxes, scores)), torch.zeros(labels.shape))
    ((humans, objects, matrix),) = score_images(head, detections)
    size = np.array([width, height] * 2, np.float32)
    best = np.zeros((len(humans), len(roles)), np.float32)
    found = select_pairs(matrix, humans * size, objects * size, VOCABULARY, max_interactions=2000)
    keys = {
        tuple(np.concatenate([human, thing])): row for row, (human, thing) in enumerate(zip(humans * size, objects * size, strict=True))
    }
    for human, thing, hoi_id, score in zip(found.human_boxes, found.object_boxes, found.hoi_ids, found.scores, strict=True):
        row = keys[tuple(np.concatenate([human, thing]))]
        for role in roles_of(VOCABULARY, int(hoi_id)):
            place = roles.index(role)
            best[row, place] = max(best[row, place], score)
    return humans * size, objects * size, best.ravel()


def roles_of(vocabulary: Vocabulary, hoi_id: int) -> list[str]:
    """List V-COCO's roles of an HOI category."""
    hoi = vocabulary.hois[hoi_id]
    verb, noun = vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]
    if noun in BOARDS and verb in ("ride", "stand_on", "jump"):
        return [BOARDS[noun]] + (["jump_instr"] if verb == "jump" else [])
    return [role for role, verbs in ROLES.items() if verb in verbs]


def plot_reliability(scores: TripletScores, path: Path) -> None:
    """Plot scores of held-out training images against the share that is right."""
    bins = reliability(scores)
    figure, axes = plt.subplots(figsize=(4.5, 4.5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    axes.plot([each.mean_score for each in bins], [each.share_true for each in bins], "o-")
    for each in bins:
        axes.annotate(str(each.count), (each.mean_score, each.share_true), fontsize=7, xytext=(3, -9), textcoords="offset points")
    axes.set(xlabel="mean score", ylabel="share that is right", title=f"held-out images, error {calibration_error(bins):.4f}")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    for each in bins:
        print(f"| {each.mean_score:.2f} | {each.share_true:.2f} | {each.count} |")


def plot_curves(metrics: Path, path: Path) -> None:
    """Plot loss and held-out average precision by step."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    figure, axes = plt.subplots(figsize=(6, 3.6))
    losses = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    axes.plot(*zip(*losses, strict=True), color="tab:blue")
    axes.set(xlabel="steps", ylabel="loss", ylim=(0, losses[len(losses) // 10][1] * 1.5))
    beside = axes.twinx()
    for name, style in (("exact", "o-"), ("detected", "s--")):
        points = [(row["step"], row[f"evaluation/{name}/full"]) for row in rows if f"evaluation/{name}/full" in row]
        beside.plot(*zip(*points, strict=True), style, color="tab:red", label=f"{name} boxes")
    beside.set_ylabel("held-out average precision, %", color="tab:red")
    beside.legend(loc="center right")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
