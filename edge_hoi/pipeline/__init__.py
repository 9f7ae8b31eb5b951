"""Run cameras: the loop from frames to the outbox, and the one builder that turns a configuration into it.

In: a `RunConfig`. Out: events in the outbox, and `CameraStatus` of each camera.
"""

from edge_hoi.pipeline.build import build_pipeline
from edge_hoi.pipeline.detector_builder import DetectorBuilder
from edge_hoi.pipeline.pipeline import Observer, Pipeline
from edge_hoi.pipeline.status import CameraStatus

__all__ = ["CameraStatus", "DetectorBuilder", "Observer", "Pipeline", "build_pipeline"]
