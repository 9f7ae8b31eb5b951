"""A plot of the results of `edge-hoi bench`."""

from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.lab.evaluation.plot import check_plot
from edge_hoi.lab.speed.report import STAGES, SpeedReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#4477aa", "#ccbb44", "#cc6677", "#228833")


def plot_speed(report: SpeedReport, path: Path) -> None:
    """Plot latency, throughput by batch size, stages and memory of the engines.

    Args:
        report: With at least one engine.
        path: The image to write: .png, .svg or .pdf.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
        ConfigError: The suffix is another.
        OSError: The file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 5 + 0.7 * len(report.engines)), layout="constrained")
    latency, throughput, stages, memory = figure.subplots(2, 2).flat
    _draw_latency(latency, report)
    _draw_throughput(throughput, report)
    _draw_stages(stages, report)
    _draw_memory(memory, report)
    for axes in (latency, stages, memory):
        axes.set_yticks(range(len(report.engines)), [engine.name for engine in report.engines])
        axes.invert_yaxis()
    for axes in (latency, throughput, stages, memory):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4)
    figure.suptitle(f"{report.machine.processor}, {report.machine.cores} logical cores{''.join('; ' + gpu for gpu in report.machine.gpus)}")
    figure.savefig(path, dpi=110)


def _draw_latency(axes: "Axes", report: SpeedReport) -> None:
    for row, engine in enumerate(report.engines):
        latency = engine.latencies[0]
        times = {percentile: 1e3 * seconds for percentile, seconds in latency.percentiles.items()}
        axes.barh(row, times[50], color=_COLOURS[0], label="median" if row == 0 else None)
        axes.plot([times[50], times[99]], [row, row], color="#444444", label="to p99" if row == 0 else None)
        axes.plot(times[95], row, "|", color="#444444", markersize=10, label="p95" if row == 0 else None)
        axes.text(times[99], row, f"  {times[50]:.1f}", va="center", fontsize=8)
    axes.set(title=f"latency, batch {report.engines[0].latencies[0].batch}", xlabel="ms")


def _draw_throughput(axes: "Axes", report: SpeedReport) -> None:
    for engine in report.engines:
        batches = [latency.batch for latency in engine.latencies]
        axes.plot(batches, [latency.images_per_second for latency in engine.latencies], marker="o", label=engine.name)
    axes.set(title="throughput", xlabel="batch size", ylabel="images a second", ylim=(0, None))
    axes.set_xticks(sorted({latency.batch for engine in report.engines for latency in engine.latencies}))


def _draw_stages(axes: "Axes", report: SpeedReport) -> None:
    left = [0.0] * len(report.engines)
    for stage, colour in zip(STAGES, _COLOURS, strict=True):
        widths = [1e3 * engine.stages[stage] for engine in report.engines]
        axes.barh(range(len(widths)), widths, left=left, color=colour, label=stage)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    axes.set(title="stages of a frame", xlabel="ms, medians")


def _draw_memory(axes: "Axes", report: SpeedReport) -> None:
    rows = range(len(report.engines))
    axes.barh(rows, [engine.footprint.peak_bytes / 1e6 for engine in report.engines], color="#bbbbbb", label="peak of the process")
    axes.barh(rows, [engine.footprint.added_bytes / 1e6 for engine in report.engines], color=_COLOURS[0], label="added by the engine")
    axes.set(title="main memory", xlabel="MB")
