"""Tables of the CPU benchmark, as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_hoi.export import LIMITS, Comparison
from edge_hoi.lab.speed.benchmark_target import EAGER
from edge_hoi.lab.speed.report import Footprint
from edge_hoi.runtime.openvino_core import openvino_core

FRAMES_IN_TURN = 4
"""Frames of a run for each that is in flight, where there are several."""

Results = Mapping[tuple[str, int], "Measured"]
"""By engine and number of frames in flight."""


@dataclass(frozen=True)
class Measured:
    """Results of one engine.

    Attributes:
        precision: Numeric precision that it really runs in.
        seconds: Of each run.
        gate: Comparison with eager PyTorch; None for that itself, and with several frames in flight.
        footprint: Memory, and seconds to open.
    """

    precision: str
    seconds: Sequence[float]
    gate: Comparison | None
    footprint: Footprint


def one_at_a_time(measured: Results) -> dict[str, Measured]:
    """Return the results with one frame in flight, by engine."""
    return {name: each for (name, in_flight), each in measured.items() if in_flight == 1}


def speed_table(measured: Results) -> list[str]:
    """Format seconds a frame, one at a time, with a note where another precision ran than was requested."""
    alone = one_at_a_time(measured)
    lines = [
        "| engine | runs in | median s | p5 s | p90 s | times eager, medians | times eager, p5 | times eager, p90 |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    percentiles = {name: np.percentile(each.seconds, [50, 5, 90]) for name, each in alone.items()}
    for name, values in percentiles.items():
        figures = [f"{value:.3f}" for value in values] + [f"{ratio:.2f}" for ratio in percentiles[EAGER] / values]
        lines.append(f"| {name} | {alone[name].precision} | {' | '.join(figures)} |")
    if alone["OpenVINO bf16"].precision != "bf16":
        has = ", ".join(openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        lines.append(
            f"\nThis CPU has no bf16 arithmetic (OpenVINO lists {has}): OpenVINO ran fp32 instead. That row does not measure "
            "the speed of bf16; its difference from the row above shows the other load on the machine."
        )
    return lines


def rates(measured: Results) -> Iterator[tuple[str, int, Measured, Sequence[float]]]:
    """Yield each engine, its frames in flight, its results, and its frames a second: median, 5th and 95th percentile of the runs."""
    for (name, in_flight), each in measured.items():
        frames = 1 if in_flight == 1 else in_flight * FRAMES_IN_TURN
        yield name, in_flight, each, (frames / np.percentile(each.seconds, [50, 95, 5])).tolist()


def throughput_table(measured: Results) -> list[str]:
    """Format frames a second, one at a time and with several in flight."""
    lines = [
        f"\nFrames a second, one after the other, and with several in flight, in runs of {FRAMES_IN_TURN} frames for each of them:\n",
        "| engine | in flight | median | p5 | p95 | times eager, medians |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    eager = 1 / float(np.median(measured[EAGER, 1].seconds))
    for name, in_flight, _, (median, least, most) in rates(measured):
        lines.append(f"| {name} | {in_flight} | {median:.2f} | {least:.2f} | {most:.2f} | {median / eager:.2f} |")
    return lines


def share_table(measured: Results, peaks: Mapping[str, Sequence[float | None]], streams: int, work: float, quantised: float) -> list[str]:
    """Format each engine's share of the machine's peak.

    Args:
        measured: The engines.
        peaks: Peak operations a second by precision: of one product on all cores, and of `streams` at a time; None where it is not
            available.
        streams: As many as cores.
        work: Operations of an image.
        quantised: Those of them that the int8 engine does in INT8.
    """
    best = {precision: max((peak for peak in found if peak), default=None) for precision, found in peaks.items()}
    named = "; ".join(
        f"{name} {' and '.join(f'{peak / 1e9:.0f}' for peak in found if peak) or 'not available'}" for name, found in peaks.items()
    )
    text = (
        f"\nAn image takes {work / 1e9:.1f} GFLOP of convolutions and matrix products (a multiplication and an addition are two), "
        f"{quantised / work:.0%} of them in layers that int8 quantises; the rest, attention's inner products above all, is float. "
        f"Large products of matrices reach, in OpenVINO on this machine, in GFLOP/s, one at a time and {streams} at a time: {named}. "
        "The larger is the peak.\n"
    )
    lines = [
        text,
        "| engine | in flight | GFLOP/s | of the peak in | share of it |",
        "|---|---:|---:|---|---:|",
    ]
    for name, in_flight, each, (median, *_) in rates(measured):
        reached, peak = work * median, best[each.precision]
        lines.append(f"| {name} | {in_flight} | {reached / 1e9:.0f} | {each.precision} | {f'{reached / peak:.0%}' if peak else '-'} |")
    return lines


def gate_table(measured: Results, frames: int) -> list[str]:
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
    for name, each in one_at_a_time(measured).items():
        if each.gate:
            found = each.gate.measured
            lines.append(
                f"| {name} | {found['box_error']:.1e} | {found['score_error']:.1e} | {1 - found['lost_triplets']:.1%} "
                f"| {found['distortion']:.1e} | {'yes' if each.gate.passes(LIMITS) else 'no'} |"
            )
    return lines


def memory_table(measured: Results) -> list[str]:
    """Format the cost of opening."""
    text = (
        "\nEach opened and run three times in a process of its own. Seconds from the engine's folder to an engine that is ready, hashes "
        "checked and libraries loaded; for eager PyTorch, generating its weights included.\n"
    )
    lines = [
        text,
        "| engine | in flight | seconds to open | adds MB | peak MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for (name, in_flight), each in measured.items():
        costs = each.footprint
        seconds = "-" if name == EAGER else f"{costs.opening_seconds:.1f}"
        lines.append(f"| {name} | {in_flight} | {seconds} | {costs.added_bytes / 1e6:.0f} | {costs.peak_bytes / 1e6:.0f} |")
    return lines
