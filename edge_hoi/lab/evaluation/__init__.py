"""Evaluation: mean average precision as HICO-DET and V-COCO define it, and event quality (`events`).

In: an engine and a data set. Out: `Results`, with tables, JSON and plots.
"""

from edge_hoi.lab.evaluation.benchmark import Benchmark, RawPredictions, VcocoBenchmark, open_benchmark
from edge_hoi.lab.evaluation.hico import HicoEvaluator
from edge_hoi.lab.evaluation.plot import check_plot, plot_categories
from edge_hoi.lab.evaluation.results import CategoryResult, Results
from edge_hoi.lab.evaluation.roles import RoleEvaluator, RolePredictions, RoleTruth
from edge_hoi.lab.evaluation.vcoco import VcocoEvaluator, VerbPredictions, correspondence, select_verbs, verb_scores

__all__ = [
    "Benchmark",
    "CategoryResult",
    "HicoEvaluator",
    "RawPredictions",
    "Results",
    "RoleEvaluator",
    "RolePredictions",
    "RoleTruth",
    "VcocoBenchmark",
    "VcocoEvaluator",
    "VerbPredictions",
    "check_plot",
    "correspondence",
    "open_benchmark",
    "plot_categories",
    "select_verbs",
    "verb_scores",
]
