"""Figures of HICO-DET and V-COCO, from arrays, image by image."""

from edge_hoi.evaluation.hico import GroundTruth, HicoEvaluator
from edge_hoi.evaluation.results import CategoryResult, Results
from edge_hoi.evaluation.roles import RoleEvaluator, RolePredictions, RoleTruth
from edge_hoi.evaluation.vcoco import VcocoEvaluator, VerbPredictions, correspondence, select_verbs, verb_scores

__all__ = [
    "CategoryResult",
    "GroundTruth",
    "HicoEvaluator",
    "Results",
    "RoleEvaluator",
    "RolePredictions",
    "RoleTruth",
    "VcocoEvaluator",
    "VerbPredictions",
    "correspondence",
    "select_verbs",
    "verb_scores",
]
