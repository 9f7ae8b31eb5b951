"""Plot the training curves of the rendered world: `python benchmarks/training_curves.py [FOLDER]`.

FOLDER holds the runs' `metrics.jsonl`, renamed: `clip.jsonl`, `detector.jsonl`, and `hoiclip-1.jsonl` and so on, each of which continued
the one before. The plot is written there as `curves.png`.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

FOLDER = Path(__file__).parent / "results" / "rendered_world"
METRIC_COLOUR = "tab:red"

Metrics = list[dict[str, float]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder = parser.parse_args().folder
    figure, (clip, detector, hoiclip) = plt.subplots(1, 3, figsize=(13, 3.6))
    draw(clip, [folder / "clip.jsonl"], "evaluation/top1", "correct prompt first, %", "small CLIP")
    draw(detector, [folder / "detector.jsonl"], "evaluation/mAP", "AP at IoU 0.5, %", "detector, cell by cell", is_logarithmic=True)
    stages = sorted(folder.glob("hoiclip-*.jsonl"))
    draw(hoiclip, stages, "evaluation/default/full", "validation mAP, %", "HOICLIP, stage by stage", is_logarithmic=True)
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=70)


def draw(axes: Axes, runs: Sequence[Path], metric: str, label: str, title: str, *, is_logarithmic: bool = False) -> None:
    """Plot the loss and the main metric of runs that continued one another."""
    stages: list[Metrics] = [[json.loads(line) for line in run.read_text().splitlines()] for run in runs]
    ends = list(accumulate(stage[-1]["step"] for stage in stages))
    beside = axes.twinx()
    for stage, end in zip(stages, ends, strict=True):
        start = end - stage[-1]["step"]
        axes.plot(*_series(stage, "loss", start), color="tab:blue")
        beside.plot(*_series(stage, metric, start), "o-", color=METRIC_COLOUR)
        if end < ends[-1]:
            axes.axvline(end, color="grey", linewidth=0.8, linestyle=":")
    axes.set(title=title, xlabel="steps", ylabel="loss", yscale="log" if is_logarithmic else "linear")
    beside.set_ylim(0, 100)
    beside.set_ylabel(label, color=METRIC_COLOUR)


def _series(stage: Metrics, name: str, start: float) -> tuple[list[float], list[float]]:
    rows = [row for row in stage if name in row]
    return [start + row["step"] for row in rows], [row[name] for row in rows]


if __name__ == "__main__":
    main()
