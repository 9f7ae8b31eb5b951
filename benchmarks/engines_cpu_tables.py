"""How the CPU benchmark's figures are laid out, as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_hoi.export import LIMITS, Comparison
from edge_hoi.lab.speed.benchmark_target import EAGER
from edge_hoi.lab.speed.report import Footprint
from edge_hoi.runtime.openvino_core import openvino_core


@dataclass(frozen=True)
class Measured:
    """What was found of one engine.

    Attributes:
        precision: Arithmetic that it really runs in.
        seconds: Of each frame.
        gate: How far it parts from eager PyTorch; None of that itself.
        footprint: Memory, and seconds to open.
    """

    precision: str
    seconds: Sequence[float]
    gate: Comparison | None
    footprint: Footprint


def speed_table(measured: Mapping[str, Measured]) -> list[str]:
    """Lay out seconds a frame, saying so where a precision was asked for and another was run."""
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
            f"\nThis CPU has no bf16 arithmetic (OpenVINO lists {has}): asked for bf16, OpenVINO ran fp32. That row says nothing about "
            "the speed of bf16; how far it is from the row above it shows how much else the machine was doing."
        )
    return lines


def share_table(measured: Mapping[str, Measured], peaks: Mapping[str, float | None], work: float, quantised: float) -> list[str]:
    """Lay out how much of what the machine multiplies at best each engine reaches.

    Args:
        measured: The engines.
        peaks: Operations a second that the machine reaches at best, by precision; None where it has none.
        work: Operations of a picture.
        quantised: Those of them that the int8 engine does in INT8.
    """
    best = ", ".join(f"{name} {peak / 1e9:.0f}" if peak else f"{name} not to be had" for name, peak in peaks.items())
    said = (
        f"\nA picture takes {work / 1e9:.1f} GFLOP of convolutions and matrix products (a multiplication and an addition are two), "
        f"{quantised / work:.0%} of them in layers that int8 quantises; the rest, attention's inner products above all, is float. "
        f"Large products of matrices reach, in OpenVINO on this machine, in GFLOP/s: {best}.\n"
    )
    lines = [
        said,
        "| engine | GFLOP/s | of the peak in | share of it |",
        "|---|---:|---|---:|",
    ]
    for name, each in measured.items():
        reached, peak = work / float(np.median(each.seconds)), peaks[each.precision]
        lines.append(f"| {name} | {reached / 1e9:.0f} | {each.precision} | {f'{reached / peak:.0%}' if peak else '-'} |")
    return lines


def gate_table(measured: Mapping[str, Measured], frames: int) -> list[str]:
    """Lay out what the accuracy gate finds."""
    said = (
        f"\nThe accuracy gate against eager PyTorch on {frames} frames of the clip that comes along, with its usual limits. Weights are "
        "made up, so this says that the engines compute the same, not that what they compute is right; networks that were never trained "
        "suffer more from int8 than trained ones.\n"
    )
    lines = [
        said,
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
    """Lay out what opening costs."""
    said = (
        "\nEach opened and run three times in a process of its own. Seconds from the engine's folder to an engine that is ready, hashes "
        "checked and libraries loaded; eager PyTorch makes its weights up meanwhile.\n"
    )
    lines = [
        said,
        "| engine | seconds to open | adds MB | peak MB |",
        "|---|---:|---:|---:|",
    ]
    for name, each in measured.items():
        costs = each.footprint
        seconds = "-" if name == EAGER else f"{costs.opening_seconds:.1f}"
        lines.append(f"| {name} | {seconds} | {costs.added_bytes / 1e6:.0f} | {costs.peak_bytes / 1e6:.0f} |")
    return lines
