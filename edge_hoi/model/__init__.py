"""HOICLIP in PyTorch: images in, boxes and embeddings out, and the classifiers."""

from edge_hoi.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edge_hoi.model.classifier import HoiClassifier
from edge_hoi.model.clip import Clip, ClipImageTower, ClipTextTower, build_clip, clip_weights_sha256
from edge_hoi.model.config import VARIANTS, HoiclipConfig
from edge_hoi.model.hoiclip import EngineOutputs, Hoiclip, HoiclipOutputs, LastLayer, LayerOutputs, build_hoiclip

__all__ = [
    "VARIANTS",
    "Checkpoint",
    "Clip",
    "ClipImageTower",
    "ClipTextTower",
    "EngineOutputs",
    "HoiClassifier",
    "Hoiclip",
    "HoiclipConfig",
    "HoiclipOutputs",
    "LastLayer",
    "LayerOutputs",
    "build_clip",
    "build_hoiclip",
    "clip_weights_sha256",
    "load_checkpoint",
    "save_checkpoint",
]
