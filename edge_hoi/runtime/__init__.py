"""Run a built model: one protocol, one file per backend. Nothing here imports `model`, nor torch unless a torch engine is made."""

from edge_hoi.runtime.engine import OUTPUT_NAMES, Arrays, CheckedEngine, Device, Engine, PrecisionHint, TensorSpec, made_up_inputs
from edge_hoi.runtime.fake_engine import FakeEngine, fake_manifest
from edge_hoi.runtime.input_size import choose_input_size
from edge_hoi.runtime.manifest import (
    Accuracy,
    Calibration,
    Candidate,
    ClipIdentity,
    Decision,
    EpisodeLevels,
    InputDescription,
    Manifest,
    TextTower,
    VerbLevels,
    read_manifest,
    write_manifest,
)
from edge_hoi.runtime.open import open_engine

__all__ = [
    "OUTPUT_NAMES",
    "Accuracy",
    "Arrays",
    "Calibration",
    "Candidate",
    "CheckedEngine",
    "ClipIdentity",
    "Decision",
    "Device",
    "Engine",
    "EpisodeLevels",
    "FakeEngine",
    "InputDescription",
    "Manifest",
    "PrecisionHint",
    "TensorSpec",
    "TextTower",
    "VerbLevels",
    "choose_input_size",
    "fake_manifest",
    "made_up_inputs",
    "open_engine",
    "read_manifest",
    "write_manifest",
]
