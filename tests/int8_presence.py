"""Whether this processor runs INT8 engines in INT8."""

from edge_hoi.runtime.int8_saturation import int8_saturates


def int8_runs_in() -> str:
    """Give the precision that engines in INT8, with weights of 8 bits, run in here."""
    return "fp32" if int8_saturates() else "int8"
