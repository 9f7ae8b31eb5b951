"""A plot of all categories' average precision."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_hoi.errors import ConfigError, MissingDependencyError
from edge_hoi.lab.evaluation.results import CategoryResult, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
_LISTED = 20
_USUAL, _RARE = "#4477aa", "#cc6677"


def plot_categories(results: Results, path: Path, dataset: str) -> None:
    """Draw all categories from the best to the worst, and list the best and the worst by name; rare ones are marked.

    Args:
        results: With at least one category that has ground truth.
        path: The image to write: .png, .svg or .pdf.
        dataset: The data set's name and split, for the title.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
        ConfigError: The suffix is another, or no category has ground truth.
        OSError: The file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    scored = [category for category in results.categories if not math.isnan(category.average_precision)]
    if not scored:
        raise ConfigError("nothing to plot: no category has ground truth in the evaluated images")
    scored.sort(key=lambda category: (-category.average_precision, -category.instances, category.name))
    worst = sorted(scored, key=lambda category: (category.average_precision, -category.instances, category.name))
    listed = min(_LISTED, math.ceil(len(scored) / 2))
    figure = Figure(figsize=(14, 5.5 + 0.24 * listed), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[4.5, 1 + 0.24 * listed])
    _draw_curve(figure.add_subplot(grid[0, :]), scored, f"{dataset}: {results.images} images")
    _draw_list(figure.add_subplot(grid[1, 0]), scored[:listed], f"the {listed} best")
    _draw_list(figure.add_subplot(grid[1, 1]), worst[:listed], f"the {listed} worst")
    figure.savefig(path, dpi=110)


def check_plot(path: Path) -> None:
    """Check that a plot can be drawn, before hours are spent on its data.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
        ConfigError: The suffix is none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"expected a plot's file name with the suffix {', '.join(SUFFIXES)}, got {path.name!r}")
    try:
        import matplotlib  # noqa: F401 -- only whether it is there
    except ImportError as error:
        raise MissingDependencyError.of_extra("a plot", "matplotlib", "train") from error


def _draw_curve(axes: "Axes", scored: Sequence[CategoryResult], title: str) -> None:
    values = 100 * np.array([category.average_precision for category in scored])
    rare = np.array([bool(category.is_rare) for category in scored])
    ranks = np.arange(1, len(values) + 1)
    label = "not rare in training" if rare.any() else "categories"
    for chosen, colour, name in ((~rare, _USUAL, label), (rare, _RARE, "rare in training")):
        if chosen.any():
            mean = values[chosen].mean()
            axes.bar(ranks[chosen], values[chosen], width=1, color=colour, label=f"{chosen.sum()} {name}, mean {mean:.2f}")
            axes.axhline(mean, color=colour, linestyle="--", linewidth=1.5, zorder=0)
    axes.set(
        title=f"{title}, {len(scored)} categories with ground truth, mean {values.mean():.2f}",
        xlabel="category, from the best to the worst",
        ylabel="average precision, %",
        xlim=(0.5, len(values) + 0.5),
        ylim=(0, 105),
    )
    axes.legend(loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_list(axes: "Axes", categories: Sequence[CategoryResult], title: str) -> None:
    places = np.arange(len(categories))[::-1]
    values = [100 * category.average_precision for category in categories]
    axes.barh(places, values, color=[_RARE if category.is_rare else _USUAL for category in categories])
    for place, value, category in zip(places, values, categories, strict=True):
        axes.text(value, place, f" {value:.1f}  (n = {category.instances})", va="center", fontsize=8, color="#444444")
    axes.set_yticks(places, [category.name for category in categories], fontsize=8)
    axes.set(title=title, xlim=(0, 130), xticks=range(0, 101, 20), ylim=(-0.6, len(categories) - 0.4), xlabel="average precision, %")
    axes.spines[["top", "right"]].set_visible(False)
