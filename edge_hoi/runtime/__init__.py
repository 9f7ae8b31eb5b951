"""Run a built model: one protocol, one file per backend. Nothing here imports `model`, nor torch unless a torch engine is made."""

import sys

from edge_hoi.runtime.engine import (
    Arrays,
    CheckedEngine,
    Device,
    Engine,
    InOrderEngine,
    PrecisionHint,
    TensorSpec,
    Ticket,
    random_inputs,
)
from edge_hoi.runtime.fake_engine import FakeEngine, fake_manifest
from edge_hoi.runtime.input_size import choose_input_size
from edge_hoi.runtime.manifest import Manifest, read_manifest, write_manifest
from edge_hoi.runtime.manifest_sections import (
    OUTPUT_NAMES,
    Accuracy,
    Calibration,
    Candidate,
    ClipIdentity,
    Decision,
    InputDescription,
    ScoreRule,
    TextTower,
)
from edge_hoi.runtime.open import open_engine, register_backend

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
    "FakeEngine",
    "InOrderEngine",
    "InputDescription",
    "Manifest",
    "PrecisionHint",
    "ScoreRule",
    "TensorSpec",
    "TextTower",
    "Ticket",
    "choose_input_size",
    "fake_manifest",
    "open_engine",
    "random_inputs",
    "read_manifest",
    "register_backend",
    "write_manifest",
]

# OpenVINO imports this package if it can. It counts uses in ~/intel, and fails where there is no home folder.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
