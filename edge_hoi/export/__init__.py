"""From a checkpoint to an engine's folder: ONNX, the text tower, and the build that joins them."""

from edge_hoi.export.build import BACKENDS, build_engine
from edge_hoi.export.onnx import export_onnx
from edge_hoi.export.text_tower import export_text_tower, write_tokenizer

__all__ = ["BACKENDS", "build_engine", "export_onnx", "export_text_tower", "write_tokenizer"]
