"""Choose event thresholds of a pair head: `python benchmarks/photo_thresholds.py HEAD.safetensors train2015_pairs.json.gz OUTPUT.yaml`.

The head scores held-out training images of HICO-DET as a simulated detector sees them, several times. A verb is disabled where it never
reaches the general threshold, or where too few of those that do are true; an interaction with enough candidates is judged for itself: it
gets a higher threshold, or is disabled. An alarm that is wrong costs more than one that is missed.
"""

import argparse
from pathlib import Path

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
LEAST_OF_VERB, LEAST_OF_INTERACTION = 8, 12
"""Fewest candidates at a threshold that it is judged by."""
DRAWS = 2


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
    arguments.output.write_text(yaml.safe_dump(chosen, sort_keys=True, allow_unicode=True, width=120))
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


def choose(scores: TripletScores) -> dict[str, dict[str, dict[str, object]]]:
    """Choose the exceptions of verbs and interactions, in the form of `EpisodeSettings`."""
    vocabulary = load_vocabulary(VOCABULARY)
    above = scores.scores >= ENTERS[0]
    hoi_ids, values, is_true = scores.hoi_ids[above], scores.scores[above], scores.is_true[above]
    verbs: dict[str, dict[str, object]] = {}
    interactions: dict[str, dict[str, object]] = {}
    for verb_id, verb in enumerate(vocabulary.verbs):
        if verb == NO_INTERACTION:
            continue
        of_verb = lowest_threshold(values, is_true, vocabulary.verb_ids[hoi_ids] == verb_id, LEAST_OF_VERB)
        if of_verb is None:
            verbs[verb] = {"enabled": False}
            continue
        if of_verb > ENTERS[0]:
            verbs[verb] = {"enter": of_verb}
        for hoi_id in np.flatnonzero(vocabulary.verb_ids == verb_id):
            chosen = values[hoi_ids == hoi_id]
            if len(chosen) < LEAST_OF_INTERACTION:
                continue
            threshold = lowest_threshold(values, is_true, hoi_ids == hoi_id, LEAST_OF_INTERACTION)
            if threshold != of_verb:
                name = f"{verb} {vocabulary.objects[vocabulary.hois[hoi_id].object_id]}"
                interactions[name] = {"enabled": False} if threshold is None else {"enter": threshold}
    return {"verbs": verbs, "interactions": interactions}


def lowest_threshold(values: NDArray[np.float32], is_true: NDArray[np.bool_], chosen: NDArray[np.bool_], least: int) -> float | None:
    """Return the lowest of `ENTERS` that enough of the chosen candidates reach, of which enough are true; None if there is none."""
    for threshold in ENTERS:
        reached = chosen & (values >= threshold)
        if reached.sum() < least:
            return None
        if is_true[reached].mean() >= WANTED_PRECISION:
            return threshold
    return None


if __name__ == "__main__":
    main()
