"""Choose event thresholds of a pair head: `python benchmarks/photo_thresholds.py HEAD.safetensors ANNOTATIONS OUTPUT.yaml`.

The head scores held-out training images of HICO-DET as a simulated detector sees them, several times. A verb or interaction gets the lowest
threshold above which enough are true, and is disabled where there is none, or where it hardly ever reaches the general threshold. What was
chosen on real videos follows. An alarm that is wrong costs more than one that is missed.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from edge_hoi.lab.datasets.sized_annotations import read_sized_annotations
from edge_hoi.lab.training.pairs.pair_precision import TripletScores, score_pairs
from edge_hoi.lab.training.pairs.scenes import scenes_from_annotations
from edge_hoi.lab.training.pairs.simulated_detector import SimulatedDetector, SimulationConfig
from edge_hoi.lab.training.pairs.trainer import PairTrainingConfig
from edge_hoi.model.pair_head import VOCABULARY, load_pair_head
from edge_hoi.vocabulary import NO_INTERACTION, load_vocabulary

ENTERS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""Thresholds to choose from; the first is the general one."""
WANTED_PRECISION = 0.7
LEAST_CANDIDATES = 5
"""A verb that has fewer at the general threshold cannot be told."""
PRIOR = 10
"""Few candidates of an interaction count as this many more with the precision of its verb; those of a verb, of all verbs."""
DRAWS = 4
GENERAL: dict[str, object] = {"enter": ENTERS[0], "leave": 0.3, "smoothing_seconds": 0.4, "min_duration_seconds": 0.3}
FROM_VIDEOS: dict[str, dict[str, object]] = {
    # The head takes what the detector sees at people's feet, hips and hands in surveillance video for what it is in photographs.
    "stand_on skateboard": {"enter": 0.8},
    "ride skateboard": {"enter": 0.8},
    "hold remote": {"enabled": False},
    "hold toothbrush": {"enabled": False},
    "hold handbag": {"enter": 0.8},
    "sit_on couch": {"enter": 0.7},
    "sit_on chair": {"enter": 0.75},  # dark trousers of people who stand
    # A hand alone is a person of low score; the detector sees it for as long as it holds something.
    "hold bottle": {"enter": 0.3, "leave": 0.2},
}
"""Chosen on videos of streets, halls and tables; see benchmarks/results/photo_engine.md."""


def main() -> None:
    """Score, choose and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scores = held_out_scores(arguments.head, arguments.data)
    chosen = choose(scores)
    origin = "# Made by benchmarks/photo_thresholds.py: general settings, and exceptions by verb and by interaction.\n"
    arguments.output.write_text(origin + yaml.safe_dump(chosen, allow_unicode=True, width=120))
    disabled = sum(each == {"enabled": False} for each in chosen["verbs"].values())
    print(f"{disabled} verbs disabled; {len(chosen['interactions'])} interactions with a threshold of their own or disabled")


def held_out_scores(head: Path, data: Path) -> TripletScores:
    """Score all candidates of the images that training held out, as often as `DRAWS`."""
    vocabulary = load_vocabulary(VOCABULARY)
    scenes = scenes_from_annotations(read_sized_annotations(data, ()), vocabulary)
    order = torch.randperm(len(scenes), generator=torch.Generator().manual_seed(0))  # as in training
    held_out = scenes.pick(order[: PairTrainingConfig().held_out])
    loaded = load_pair_head(head)
    config = SimulationConfig(clean_share=0.0)
    draws = [score_pairs(loaded, SimulatedDetector(vocabulary, config, seed=seed).detect(held_out), held_out) for seed in range(DRAWS)]
    return TripletScores(*(np.concatenate(parts) for parts in zip(*draws, strict=True)))


def choose(scores: TripletScores) -> dict[str, Any]:
    """Choose the settings, in the form of `EpisodeSettings`."""
    vocabulary = load_vocabulary(VOCABULARY)
    is_event = vocabulary.verb_ids != vocabulary.verbs.index(NO_INTERACTION)
    chosen = (scores.scores >= ENTERS[0]) & is_event[scores.hoi_ids]
    hoi_ids, values, is_true = scores.hoi_ids[chosen], scores.scores[chosen], scores.is_true[chosen]
    of_all = precisions(values, is_true)
    verbs: dict[str, dict[str, object]] = {}
    interactions: dict[str, dict[str, object]] = {}
    for verb_id, verb in enumerate(vocabulary.verbs):
        rows = vocabulary.verb_ids[hoi_ids] == verb_id
        of_verb = precisions(values[rows], is_true[rows], of_all)
        threshold = lowest_threshold(of_verb) if rows.sum() >= LEAST_CANDIDATES else None
        if verb != NO_INTERACTION and threshold != ENTERS[0]:
            verbs[verb] = exception(threshold)
        if threshold is None:
            continue
        for hoi_id in np.flatnonzero(vocabulary.verb_ids == verb_id):
            rows = hoi_ids == hoi_id
            own = lowest_threshold(precisions(values[rows], is_true[rows], of_verb))
            if own != threshold:
                interactions[f"{verb} {vocabulary.objects[vocabulary.hois[hoi_id].object_id]}"] = exception(own)
    return {**GENERAL, "verbs": verbs, "interactions": interactions | FROM_VIDEOS}


def precisions(values: NDArray[np.float32], is_true: NDArray[np.bool_], prior: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the share of candidates at or above each of `ENTERS` that is true, with `PRIOR` more of a prior's precision."""
    reached = values >= np.array(ENTERS)[:, None]
    counts, hits = reached.sum(axis=1), (reached & is_true).sum(axis=1)
    return hits / np.maximum(counts, 1) if prior is None else (hits + PRIOR * prior) / (counts + PRIOR)


def lowest_threshold(precision: NDArray[np.float64]) -> float | None:
    """Return the lowest of `ENTERS` with the wanted precision; None if there is none."""
    return next((threshold for threshold, value in zip(ENTERS, precision, strict=True) if value >= WANTED_PRECISION), None)


def exception(threshold: float | None) -> dict[str, object]:
    """Return the settings of a verb or interaction with a threshold; None disables it."""
    return {"enabled": False} if threshold is None else {"enter": threshold}


if __name__ == "__main__":
    main()
