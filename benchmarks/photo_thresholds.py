"""Choose event thresholds of a pair head: `python benchmarks/photo_thresholds.py HEAD.safetensors HICO_DET V_COCO OUTPUT.yaml`.

The head scores held-out training images of HICO-DET and V-COCO as a simulated detector sees them, several times. A verb or interaction (of
V-COCO, only verbs) gets the lowest threshold above which enough are true, and is disabled where there is none, or where it hardly ever
reaches the general threshold. What was chosen on real videos follows. An alarm that is wrong costs more than one that is missed.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from photo_scenes import read_vcoco_scenes

from edge_hoi.lab.datasets.sized_annotations import read_sized_annotations
from edge_hoi.lab.training.pairs.pair_precision import TripletScores, score_pairs
from edge_hoi.lab.training.pairs.scenes import Scenes, scenes_from_annotations, split_scenes
from edge_hoi.lab.training.pairs.simulated_detector import SimulatedDetector, SimulationConfig
from edge_hoi.lab.training.pairs.trainer import PairTrainingConfig
from edge_hoi.model.pair_head import PairHead, load_pair_head
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary, load_vocabulary

ENTERS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
"""Thresholds to choose from; the first is the general one."""
WANTED_PRECISION = 0.7
LEAST_CANDIDATES = 5
"""A verb that has fewer at the general threshold cannot be told."""
PRIOR = 10
"""Few candidates of an interaction count as this many more with the precision of its verb; those of a verb, of all verbs."""
DRAWS = 4
GENERAL: dict[str, object] = {"enter": ENTERS[0], "leave": 0.3, "smoothing_seconds": 0.4, "min_duration_seconds": 0.3}
FROM_VIDEOS = {
    "hold remote": {"enabled": False},  # hands
    "hold toothbrush": {"enabled": False},  # bottles
    # A hand alone is a person of low score; the detector sees it for as long as it holds something.
    "hold bottle": {"enter": 0.28, "leave": 0.15},
}
"""Chosen on videos of streets, halls and tables; see benchmarks/results/photo_engine.md."""


def main() -> None:
    """Score, choose and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", type=Path)
    parser.add_argument("hico_det", type=Path, help="train2015_pairs.json.gz")
    parser.add_argument("vcoco", type=Path, help="instances_vcoco_trainval.json")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    head, hico_det, vcoco = load_pair_head(arguments.head), load_vocabulary("hico_det"), load_vocabulary("vcoco")
    held_out = PairTrainingConfig().held_out
    scenes = split_scenes(scenes_from_annotations(read_sized_annotations(arguments.hico_det), hico_det), held_out)
    verbs, interactions = choose(held_out_scores(head, scenes[:2]), hico_det)
    scenes = split_scenes(read_vcoco_scenes(arguments.vcoco), held_out // 4)
    roles, _ = choose(held_out_scores(head, scenes[:2]), vcoco)
    chosen = {**GENERAL, "verbs": verbs | roles, "interactions": interactions | FROM_VIDEOS}
    origin = "# Made by benchmarks/photo_thresholds.py: general settings, and exceptions by verb and by interaction.\n"
    arguments.output.write_text(origin + yaml.safe_dump(chosen, allow_unicode=True, width=120))
    off, roles_off = (sorted(verb for verb, each in part.items() if each == {"enabled": False}) for part in (verbs, roles))
    print(f"{len(off)} verbs disabled: {', '.join(off)}; roles: {', '.join(roles_off)}")
    print(f"{len(interactions | FROM_VIDEOS)} interactions with a threshold of their own or disabled")


def held_out_scores(head: PairHead, scenes: tuple[Scenes, ...]) -> TripletScores:
    """Score all candidates of the images that training held out, as often as `DRAWS`."""
    config, classes = SimulationConfig(clean_share=0.0), load_vocabulary("hico_det")
    draws = [
        score_pairs(head, SimulatedDetector(classes, config, seed=seed).detect(part), part) for part in scenes for seed in range(DRAWS)
    ]
    return TripletScores(*(np.concatenate(parts) for parts in zip(*draws, strict=True)))


Exceptions = dict[str, dict[str, object]]


def choose(scores: TripletScores, vocabulary: Vocabulary) -> tuple[Exceptions, Exceptions]:
    """Choose the settings of verbs and of interactions, in the form of `EpisodeSettings`."""
    is_event = np.array([vocabulary.verbs[verb_id] != NO_INTERACTION for verb_id in vocabulary.verb_ids])
    chosen = (scores.scores >= ENTERS[0]) & is_event[scores.hoi_ids]
    hoi_ids, values, is_true = scores.hoi_ids[chosen], scores.scores[chosen], scores.is_true[chosen]
    of_all = precisions(values, is_true)
    verbs: Exceptions = {}
    interactions: Exceptions = {}
    for verb_id in np.unique(vocabulary.verb_ids[vocabulary.object_ids != vocabulary.no_object_id]):
        verb = vocabulary.verbs[verb_id]
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
    return verbs, interactions


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
