"""Whether this processor runs INT8 engines in INT8."""

from edge_hoi.runtime.openvino_int8 import int8_overflows


def int8_runs_in() -> str:
    """Give the precision that INT8 engines run in here."""
    return "fp32" if int8_overflows() else "int8"
