"""Measure latency and memory, and describe the machine."""

from edge_hoi.telemetry.interleaved_timing import time_interleaved
from edge_hoi.telemetry.machine import Machine, installed_version, nvidia_gpus, processor_name, this_machine
from edge_hoi.telemetry.memory import peak_resident_bytes, resident_bytes
from edge_hoi.telemetry.stages import StageTimer, StageTimes

__all__ = [
    "Machine",
    "StageTimer",
    "StageTimes",
    "installed_version",
    "nvidia_gpus",
    "peak_resident_bytes",
    "processor_name",
    "resident_bytes",
    "this_machine",
    "time_interleaved",
]
