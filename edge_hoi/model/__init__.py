"""HOICLIP in PyTorch: pictures in, boxes and embeddings out, with the classifiers beside it."""

from edge_hoi.model.config import VARIANTS, HoiclipConfig
from edge_hoi.model.hoiclip import EngineOutputs, Hoiclip, HoiclipOutputs, LastLayer, LayerOutputs, build_hoiclip

__all__ = ["VARIANTS", "EngineOutputs", "Hoiclip", "HoiclipConfig", "HoiclipOutputs", "LastLayer", "LayerOutputs", "build_hoiclip"]
