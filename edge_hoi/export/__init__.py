"""From a checkpoint to an engine's folder: ONNX export, reduced precision, the accuracy gate, the text tower, and the build."""

from edge_hoi.export.auto import build_fastest
from edge_hoi.export.calibration import CALIBRATION_FILE, Recording, histograms_of, make_recording, read_recording
from edge_hoi.export.engine_builder import BACKENDS, build_engine, describe_input, export_network
from edge_hoi.export.frames import FrameSet, collect_frames
from edge_hoi.export.gate import LIMITS, Comparison, compare
from edge_hoi.export.onnx import export_onnx
from edge_hoi.export.plans import PlanTarget
from edge_hoi.export.provenance import weights_sha256
from edge_hoi.export.quantise import KEEP_FLOAT
from edge_hoi.export.ranges import METHODS, Method
from edge_hoi.export.reduction import Reduction, weight_bits_for
from edge_hoi.export.text_tower import export_text_tower, write_tokenizer

__all__ = [
    "BACKENDS",
    "CALIBRATION_FILE",
    "KEEP_FLOAT",
    "LIMITS",
    "METHODS",
    "Comparison",
    "FrameSet",
    "Method",
    "PlanTarget",
    "Recording",
    "Reduction",
    "build_engine",
    "build_fastest",
    "collect_frames",
    "compare",
    "describe_input",
    "export_network",
    "export_onnx",
    "export_text_tower",
    "histograms_of",
    "make_recording",
    "read_recording",
    "weight_bits_for",
    "weights_sha256",
    "write_tokenizer",
]
