"""Compare this evaluation's metrics with those of the published implementations on generated predictions.

    python benchmarks/reference_evaluator.py REFERENCE.npz

REFERENCE.npz holds images, predictions and `expected/*`. Its keys determine the evaluation: `role_box_score` V-COCO's benchmark,
`correct_mat` the verbs' average precision used while training on V-COCO, else HICO-DET. Prints each metric, ours and theirs, and exits
with 1 if one exceeds its tolerance.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

from edge_hoi.detection import join_scores, select_pairs
from edge_hoi.lab.evaluation import (
    HicoEvaluator,
    RoleEvaluator,
    RolePredictions,
    RoleTruth,
    VcocoEvaluator,
    select_verbs,
    verb_scores,
)
from edge_hoi.vocabulary import Vocabulary, known_vocabularies, load_vocabulary, zero_shot_split

Arrays = Mapping[str, NDArray[Any]]

AP, ROLE_AP = 1e-9, 1e-6
"""Tolerances; V-COCO's benchmark keeps its metrics in single precision."""

EXPECTED = "expected/"
HICO_METRICS = {
    "mAP": ("default", "full"),
    "mAP rare": ("default", "rare"),
    "mAP non-rare": ("default", "non-rare"),
    "mAP unseen": ("default", "unseen"),
    "mAP seen": ("default", "seen"),
    "mean max recall": ("largest recall", "full"),
}


@dataclass(frozen=True)
class Truth:
    """Ground truth of one image."""

    human_boxes: NDArray[np.float32]
    object_boxes: NDArray[np.float32]
    hoi_ids: NDArray[np.int64]
    object_ids: NDArray[np.int64]
    verb_ids: NDArray[np.int64]


def hico(reference: Arrays) -> dict[str, Any]:
    """Compute HICO-DET's metrics, with or without pair NMS, as the expected metrics' names say."""
    vocabulary = vocabulary_of(reference)
    if "rare" in reference:
        rare = np.isin(np.arange(len(vocabulary)), ids_of(reference["rare"]))
        hois = tuple(replace(hoi, is_rare=bool(flag)) for hoi, flag in zip(vocabulary.hois, rare, strict=True))
        vocabulary = replace(vocabulary, hois=hois)
    settings = sorted({name.split("/")[1] for name in reference if name.startswith(EXPECTED) and name.count("/") > 1})
    metrics: dict[str, Any] = {}
    for setting in settings or [""]:
        evaluator = HicoEvaluator(vocabulary, unseen_ids=unseen_of(reference))
        for image_id, image in images(reference):
            scores = join_scores(image["hoi_scores"], image["object_scores"], vocabulary.object_ids)
            found = select_pairs(scores, image["human"], image["object"], vocabulary, is_deduplicated=setting != "nms=0")
            evaluator.update(image_id, found, truth_of(image, vocabulary))
        ours = evaluator.result().metrics
        for name, (row, column) in HICO_METRICS.items():
            if column in ours[row]:
                metrics[f"{setting}/{name}".lstrip("/")] = ours[row][column]
    return metrics


def vcoco(reference: Arrays) -> dict[str, Any]:
    """Compute the metrics used while training on V-COCO."""
    vocabulary = vocabulary_of(reference)
    evaluator = VcocoEvaluator(vocabulary)
    for image_id, image in images(reference):
        pairs = join_scores(image["hoi_scores"], image["object_scores"], vocabulary.object_ids)
        scores, object_ids = verb_scores(pairs, image["object_scores"], vocabulary.verb_ids, reference["correct_mat"])
        evaluator.update(image_id, select_verbs(scores, object_ids, image["human"], image["object"]), truth_of(image, vocabulary))
    result = evaluator.result()
    metrics = {f"AP_{category.name}": category.average_precision for category in result.categories}
    return metrics | {f"mAP_{name}": value for name, value in result.metrics["while training"].items()}


def roles(reference: Arrays) -> dict[str, Any]:
    """Compute V-COCO's benchmark."""
    names = [[role for role in str(text).split(",") if role != "agent"] for text in reference["roles"]]
    evaluator = RoleEvaluator([str(action) for action in reference["actions"]], names)
    for image_id, image in images(reference):
        predictions = RolePredictions(
            image["person_boxes"], image["agent_scores"], image["role_box_score"][..., :4], image["role_box_score"][..., 4]
        )
        evaluator.update(image_id, predictions, RoleTruth(image["boxes"], image["classes"] == 1, image["actions"], image["role_index"]))
    agents, *scenarios = evaluator.average_precisions()
    metrics: dict[str, Any] = {"agent_ap": agents}
    means = evaluator.result().metrics
    for number, values in enumerate(scenarios, start=1):
        row = means[f"scenario {number}"]
        metrics |= {
            f"scenario_{number}/role_ap": values,
            f"scenario_{number}/mean": row["all"],
            f"scenario_{number}/mean_without_point": row["without point"],
        }
    return metrics


def images(reference: Arrays) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    """Yield the images in order, in single precision as networks output it; a missing array (no predictions) is empty."""
    by_image: dict[int, dict[str, NDArray[Any]]] = {}
    for name, array in reference.items():
        number, _, key = name.partition("/")
        if number.isdigit():
            is_real = np.issubdtype(array.dtype, np.floating)
            by_image.setdefault(int(number), {})[key] = array.astype(np.float32) if is_real else array
    empty = {key: array[:0] for image in by_image.values() for key, array in image.items() if array.ndim and array.size}
    for number, image in sorted(by_image.items()):
        yield str(number), {key: image[key].reshape(-1, *none.shape[1:]) if key in image else none for key, none in empty.items()}


def truth_of(image: Arrays, vocabulary: Vocabulary) -> Truth:
    """Return an image's triplets; the object boxes of those without object are all zero."""
    boxes = image["gt_object"]
    if "gt_no_object" in image:
        boxes = np.where(image["gt_no_object"][:, None], np.float32(0), boxes)
    hoi_ids = image["gt_hoi"].astype(np.int64)
    return Truth(image["gt_human"], boxes, hoi_ids, vocabulary.object_ids[hoi_ids], vocabulary.verb_ids[hoi_ids])


def vocabulary_of(reference: Arrays) -> Vocabulary:
    """Return the vocabulary by the number of categories; fewer than known are the first of HICO-DET's or V-COCO's."""
    count = max(array.shape[-1] for name, array in reference.items() if name.endswith("/hoi_scores"))
    known = [load_vocabulary(name) for name in known_vocabularies()]
    for vocabulary in known:
        if len(vocabulary) == count:
            return vocabulary
    verbs = len(reference["correct_mat"]) if "correct_mat" in reference else None
    larger = [vocabulary for vocabulary in known if len(vocabulary) > count and verbs in (None, len(vocabulary.verbs))]
    if not larger:
        raise SystemExit(f"expected scores of {' or '.join(str(len(vocabulary)) for vocabulary in known)} categories, got {count}")
    print(f"no vocabulary has {count} categories: using the first of {larger[0].name}")
    return replace(larger[0], hois=larger[0].hois[:count])


def ids_of(flags_or_ids: NDArray[Any]) -> NDArray[np.int64]:
    """Convert flags to ids, unless they are ids."""
    return np.flatnonzero(flags_or_ids) if flags_or_ids.dtype == np.bool_ else flags_or_ids.astype(np.int64)


def unseen_of(reference: Arrays) -> list[int]:
    """Return a zero-shot reference's unseen categories, by its split's name or one by one."""
    if "unseen" in reference:
        return [int(row) for row in ids_of(reference["unseen"])]
    name = str(reference.get("zero_shot", ""))
    return list(zero_shot_split(name)) if name else []


def compare(ours: Mapping[str, Any], reference: Arrays, tolerance: float) -> bool:
    """Print a line for each expected metric, and return whether all are within the tolerance; equal NaNs are."""
    is_passed = True
    for name, theirs in reference.items():
        if not name.startswith(EXPECTED):
            continue
        name = name.removeprefix(EXPECTED)
        figure = np.asarray(ours.get(name, np.inf))
        is_same_form = figure.shape == theirs.shape and (np.isnan(figure) == np.isnan(theirs)).all()
        gap = np.nan_to_num(np.abs(figure.astype(np.float64) - theirs)) if is_same_form else np.array([np.inf])
        difference = float(gap.max(initial=0))
        is_close = difference <= tolerance
        is_passed &= is_close
        shown = f"{float(figure):12.9f} {float(theirs):12.9f}" if figure.ndim == theirs.ndim == 0 else f"{theirs.shape!s:>25}"
        print(f"{name:40} {shown}  difference {difference:8.2e}  {'PASS' if is_close else 'FAIL'}")
    return is_passed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path, metavar="REFERENCE.npz")
    with np.load(parser.parse_args().reference) as archive:
        reference = dict(archive)
    keys = {name.rpartition("/")[2] for name in reference}
    if "role_box_score" in keys:
        title, metrics, tolerance = "V-COCO's benchmark", roles(reference), ROLE_AP
    elif "correct_mat" in keys:
        title, metrics, tolerance = "V-COCO while training", vcoco(reference), AP
    else:
        title, metrics, tolerance = "HICO-DET", hico(reference), AP
    print(f"{title}; ours, theirs, tolerance {tolerance:.0e}")
    is_passed = compare(metrics, reference, tolerance)
    print("PASS" if is_passed else "FAIL")
    return 0 if is_passed else 1


if __name__ == "__main__":
    sys.exit(main())
