"""Compare matching and losses with those of another implementation, for the same predictions and targets.

    python benchmarks/reference_criterion.py REFERENCE.npz

REFERENCE.npz holds `outputs/*`, for each image i `targets/i/*` and `matched/i/{query,target}`, and unweighted `losses/*`; numbers of
categories, objects and queries are those of its arrays. Outputs and losses of intermediate decoder layers, with names that end in `_0`,
`_1` and so on, are compared too. Prints each comparison, and exits with 1 if a matched pair differs or a relative error exceeds 1e-4.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that a checkout need not be installed

from edge_hoi.lab.datasets.batch import Target, Targets
from edge_hoi.lab.training.criterion import Criterion, class_errors
from edge_hoi.lab.training.matcher import Matches
from edge_hoi.lab.training.network import Predictions

Arrays = Mapping[str, NDArray[Any]]

TOLERANCE = 1e-4
_OUTPUTS = ("pred_hoi_logits", "pred_obj_logits", "pred_sub_boxes", "pred_obj_boxes")
_TARGETS = ("sub_boxes", "obj_boxes", "obj_labels", "hoi_labels")
_LOSSES = ("loss_hoi_labels", "loss_obj_ce", "loss_sub_bbox", "loss_obj_bbox", "loss_sub_giou", "loss_obj_giou")


def read_targets(reference: Arrays) -> Targets:
    """Read the targets of all images."""
    count = len(reference["outputs/pred_sub_boxes"])
    return Targets.of([Target(*(torch.from_numpy(reference[f"targets/{index}/{name}"]) for name in _TARGETS)) for index in range(count)])


def read_predictions(reference: Arrays, suffix: str) -> Predictions:
    """Read one layer's outputs; the last layer's names have no suffix."""
    return Predictions(*(torch.from_numpy(reference[f"outputs/{name}{suffix}"]) for name in _OUTPUTS))


def compute(reference: Arrays, suffix: str, targets: Targets) -> tuple[dict[str, float], Matches]:
    """Compute losses and error rates by the reference's names, and the assignment."""
    predictions = read_predictions(reference, suffix)
    outputs = Criterion()([predictions], targets)
    hoi_error, object_error = class_errors(predictions, targets, outputs.matches[-1])
    found = dict(zip(_LOSSES, (float(loss) for loss in outputs.layers[-1]), strict=True))
    found |= {"hoi_class_error": float(hoi_error), "obj_class_error": float(object_error)}
    return {f"{name}{suffix}": value for name, value in found.items()}, outputs.matches[-1]


def compare_matches(matches: Matches, targets: Targets, reference: Arrays) -> bool:
    """Print whether each image's matched pairs are the reference's."""
    is_passed = True
    for index, start in enumerate(targets.starts):
        own = matches.images == index
        ours = set(zip(matches.queries[own].tolist(), (matches.pairs[own] - start).tolist(), strict=True))
        theirs = set(zip(*(reference[f"matched/{index}/{name}"].tolist() for name in ("query", "target")), strict=True))
        is_passed &= ours == theirs
        verdict = "PASS" if ours == theirs else f"FAIL  ours {sorted(ours - theirs)} theirs {sorted(theirs - ours)}"
        print(f"{f'matched pairs of image {index}':28} {len(theirs):4} pairs  {verdict}")
    return is_passed


def compare_losses(found: Mapping[str, float], reference: Arrays) -> bool:
    """Print each loss's relative error."""
    is_passed = True
    for key in sorted(key for key in reference if key.startswith("losses/")):
        name, theirs = key.removeprefix("losses/"), float(reference[key])
        if name not in found:
            print(f"{name:28} {theirs:12.6f}  unknown  FAIL")
            is_passed = False
            continue
        difference = abs(found[name] - theirs) / max(abs(theirs), np.finfo(np.float32).tiny) if found[name] != theirs else 0.0
        is_close = difference <= TOLERANCE  # false for NaN too
        is_passed &= is_close
        print(f"{name:28} {found[name]:12.6f}  {theirs:12.6f}  relative {difference:8.1e}  {'PASS' if is_close else 'FAIL'}")
    return is_passed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reference", type=Path, metavar="REFERENCE.npz")
    with np.load(parser.parse_args().reference) as archive:
        reference = dict(archive)
    targets = read_targets(reference)
    print(", ".join(f"{name} {reference[f'outputs/{name}'].shape}" for name in _OUTPUTS))
    found, matches = compute(reference, "", targets)
    for key in reference:
        if layer := re.fullmatch(r"outputs/pred_hoi_logits(_\d+)", key):
            found |= compute(reference, layer[1], targets)[0]
    is_passed = compare_matches(matches, targets, reference) & compare_losses(found, reference)
    print("PASS" if is_passed else "FAIL")
    return 0 if is_passed else 1


if __name__ == "__main__":
    sys.exit(main())
