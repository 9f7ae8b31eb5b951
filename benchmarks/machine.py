"""What a benchmark was measured on, in words."""

from edge_hoi.telemetry import this_machine


def describe_machine(*packages: str) -> str:
    """Name processor, the instruction sets that matter, cores, and versions.

    Args:
        packages: Distributions whose versions matter besides the runtime's own.
    """
    return this_machine(("numpy", "av", "opencv-python", "openvino", *packages)).describe()
