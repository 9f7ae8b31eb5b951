"""The loop, and the builder that turns a configuration into it."""

from edge_hoi.pipeline.build import build_pipeline, open_detectors
from edge_hoi.pipeline.demo import DEMO_CLIP
from edge_hoi.pipeline.pipeline import Observer, Pipeline
from edge_hoi.pipeline.status import CameraStatus

__all__ = ["DEMO_CLIP", "CameraStatus", "Observer", "Pipeline", "build_pipeline", "open_detectors"]
