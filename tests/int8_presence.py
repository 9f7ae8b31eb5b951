"""The precision that INT8 engines run in on this processor."""

from edge_hoi.runtime.int8_saturation import int8_saturates


def int8_runs_in() -> str:
    """Return the precision that INT8 engines with weights of 8 bits run in here."""
    return "fp32" if int8_saturates() else "int8"
