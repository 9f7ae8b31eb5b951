"""Description of the machine that a benchmark runs on."""

from edge_hoi.telemetry import this_machine


def describe_machine(*packages: str) -> str:
    """Describe processor, instruction sets, cores, and the versions of the runtime's and other distributions."""
    return this_machine(("numpy", "av", "opencv-python", "openvino", *packages)).describe()
