"""Whether this processor runs INT8 engines in INT8."""

from edge_hoi.runtime.int8_sums import sums_are_cut_off


def int8_runs_in() -> str:
    """Give the precision that engines in INT8, with weights of 8 bits, run in here."""
    return "fp32" if sums_are_cut_off() else "int8"
