"""Tables of the CPU benchmark, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_hoi.export import LIMITS, Comparison
from edge_hoi.lab.speed.benchmark_target import EAGER
from edge_hoi.lab.speed.report import Footprint
from edge_hoi.runtime.openvino_core import openvino_core


@dataclass(frozen=True)
class Measured:
    """Results of one engine.

    Attributes:
        precision: Numeric precision that it really runs in.
        seconds: Of each frame.
        gate: Comparison with eager PyTorch; None for that itself.
        footprint: Memory, and seconds to open.
    """

    precision: str
    seconds: Sequence[float]
    gate: Comparison | None
    footprint: Footprint


def speed_table(measured: Mapping[str, Measured]) -> list[str]:
    """Format seconds a frame, with a note where another precision ran than was requested."""
    lines = [
        "| engine | runs in | median s | p5 s | p90 s | times eager, medians | times eager, p5 | times eager, p90 |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    percentiles = {name: np.percentile(each.seconds, [50, 5, 90]) for name, each in measured.items()}
    for name, values in percentiles.items():
        figures = [f"{value:.3f}" for value in values] + [f"{ratio:.2f}" for ratio in percentiles[EAGER] / values]
        lines.append(f"| {name} | {measured[name].precision} | {' | '.join(figures)} |")
    if measured["OpenVINO bf16"].precision != "bf16":
        has = ", ".join(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        lines.append(
            f"\nThis CPU has no bf16 arithmetic (OpenVINO lists {has}): OpenVINO ran fp32 instead. That row does not measure "
            "the speed of bf16; its difference from the row above shows the other load on the machine."
        )
    return lines


def share_table(measured: Mapping[str, Measured], peaks: Mapping[str, float | None], work: float, quantised: float) -> list[str]:
    """Format each engine's share of the machine's peak.

    Args:
        measured: The engines.
        peaks: Peak operations a second by precision; None where it is not available.
        work: Operations of an image.
        quantised: Those of them that the int8 engine does in INT8.
    """
    best = ", ".join(f"{name} {peak / 1e9:.0f}" if peak else f"{name} not available" for name, peak in peaks.items())
    text = (
        f"\nAn image takes {work / 1e9:.1f} GFLOP of convolutions and matrix products (a multiplication and an addition are two), "
        f"{quantised / work:.0%} of them in layers that int8 quantises; the rest, attention's inner products above all, is float. "
        f"Large products of matrices reach, in OpenVINO on this machine, in GFLOP/s: {best}.\n"
    )
    lines = [
        text,
        "| engine | GFLOP/s | of the peak in | share of it |",
        "|---|---:|---|---:|",
    ]
    for name, each in measured.items():
        reached, peak = work / float(np.median(each.seconds)), peaks[each.precision]
        lines.append(f"| {name} | {reached / 1e9:.0f} | {each.precision} | {f'{reached / peak:.0%}' if peak else '-'} |")
    return lines


def gate_table(measured: Mapping[str, Measured], frames: int) -> list[str]:
    """Format the accuracy gate's results."""
    text = (
        f"\nThe accuracy gate against eager PyTorch on {frames} frames of the embedded clip, with its default limits. Weights are random, "
        "so this tests that the engines compute the same, not that it is right; int8 costs untrained networks more accuracy.\n"
    )
    lines = [
        text,
        "| engine | box error | score error | top triplets kept | distortion | passes |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, each in measured.items():
        if each.gate:
            found = each.gate.measured
            lines.append(
                f"| {name} | {found['box_error']:.1e} | {found['score_error']:.1e} | {1 - found['lost_triplets']:.1%} "
                f"| {found['distortion']:.1e} | {'yes' if each.gate.passes(LIMITS) else 'no'} |"
            )
    return lines


def memory_table(measured: Mapping[str, Measured]) -> list[str]:
    """Format the cost of opening."""
    text = (
        "\nEach opened and run three times in a process of its own. Seconds from the engine's folder to an engine that is ready, hashes "
        "checked and libraries loaded; for eager PyTorch, generating its weights included.\n"
    )
    lines = [
        text,
        "| engine | seconds to open | adds MB | peak MB |",
        "|---|---:|---:|---:|",
    ]
    for name, each in measured.items():
        costs = each.footprint
        seconds = "-" if name == EAGER else f"{costs.opening_seconds:.1f}"
        lines.append(f"| {name} | {seconds} | {costs.added_bytes / 1e6:.0f} | {costs.peak_bytes / 1e6:.0f} |")
    return lines
