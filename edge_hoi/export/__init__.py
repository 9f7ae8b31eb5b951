"""From a checkpoint to an engine's folder: ONNX, the text tower, and the build that joins them."""

from edge_hoi.export.build import BACKENDS, Quantisation, build_engine, describe_input
from edge_hoi.export.frames import FrameSet, collect_frames
from edge_hoi.export.gate import LIMITS, Comparison, compare
from edge_hoi.export.onnx import export_onnx
from edge_hoi.export.quantise import KEEP_FLOAT, METHODS
from edge_hoi.export.text_tower import export_text_tower, write_tokenizer

__all__ = [
    "BACKENDS",
    "KEEP_FLOAT",
    "LIMITS",
    "METHODS",
    "Comparison",
    "FrameSet",
    "Quantisation",
    "build_engine",
    "collect_frames",
    "compare",
    "describe_input",
    "export_onnx",
    "export_text_tower",
    "write_tokenizer",
]
