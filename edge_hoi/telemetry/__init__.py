"""Measuring and reporting what the program does."""

from edge_hoi.telemetry.stages import StageClock, StageTimes

__all__ = ["StageClock", "StageTimes"]
