"""Detect interactions: preprocess, run an engine, classify its embeddings, select.

In: images of one shape. Out: `Interactions` of each.
"""

from edge_hoi.detection.classifier import Classifier, for_vocabulary, prompts_to_encode, read_classifier, write_classifier
from edge_hoi.detection.detector import FixedSizeDetector
from edge_hoi.detection.known_categories import for_known_categories, known_categories
from edge_hoi.detection.postprocess import enhancement, join_scores, pair_scores, select_interactions, select_pairs, sigmoid
from edge_hoi.detection.preprocess import Preprocessor
from edge_hoi.detection.text_encoder import OnnxTextEncoder
from edge_hoi.detection.text_features import TextEncoder, cached_text_features

__all__ = [
    "Classifier",
    "FixedSizeDetector",
    "OnnxTextEncoder",
    "Preprocessor",
    "TextEncoder",
    "cached_text_features",
    "enhancement",
    "for_known_categories",
    "for_vocabulary",
    "join_scores",
    "known_categories",
    "pair_scores",
    "prompts_to_encode",
    "read_classifier",
    "select_interactions",
    "select_pairs",
    "sigmoid",
    "write_classifier",
]
