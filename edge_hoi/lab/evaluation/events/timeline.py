"""A plot of ground-truth and predicted episodes: a row for each ground-truth episode, with its predictions below it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.errors import ConfigError
from edge_hoi.lab.evaluation.events.matching import Outcome, ScoredPrediction, ScoredTruth, ScoredVideo
from edge_hoi.lab.evaluation.events.metrics import hoi_name
from edge_hoi.lab.evaluation.plot import check_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 500
"""Programs do not open larger images."""
_GROUND_TRUTH = "#3b3f46"
_COLOURS = {
    Outcome.MATCH: "#228833",
    Outcome.FRAGMENT: "#ee9933",
    Outcome.DUPLICATE: "#aa3377",
    Outcome.FALSE: "#cc3344",
    Outcome.IGNORED: "#bbbbbb",
}
_NAMES = {
    Outcome.MATCH: "found",
    Outcome.FRAGMENT: "fragment",
    Outcome.DUPLICATE: "duplicate",
    Outcome.FALSE: "false",
    Outcome.IGNORED: "not counted",
}
_ROW_INCHES = 0.36
_Row = tuple[str, ScoredTruth | None, tuple[ScoredPrediction, ...]]


def plot_timeline(videos: Sequence[ScoredVideo], path: Path) -> None:
    """Draw each video's episodes over time; false predictions have rows of their own, by interaction.

    Args:
        videos: The videos; those beyond `MOST_ROWS` rows are dropped, which the title notes.
        path: The image to write: .png, .svg or .pdf.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
        ConfigError: The suffix is another, or there is no episode, neither true nor predicted.
        OSError: The file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown: list[tuple[ScoredVideo, list[_Row]]] = []
    for video in videos:
        rows = _rows(video)[:MOST_ROWS]
        if rows and sum(len(each) for _, each in shown) + len(rows) <= MOST_ROWS:
            shown.append((video, rows))
    if not shown:
        raise ConfigError("nothing to plot: there are neither ground-truth nor predicted episodes")
    heights = [len(rows) + 2.5 for _, rows in shown]
    figure = Figure(figsize=(14, 0.9 + _ROW_INCHES * sum(heights)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (video, rows) in zip(panels, shown, strict=True):
        _draw(axes, video, rows)
    handles = [Patch(color=_GROUND_TRUTH, label="ground truth"), *(Patch(color=_COLOURS[each], label=_NAMES[each]) for each in Outcome)]
    part = f" ({len(shown)} of {len(videos)} videos)" if len(shown) < len(videos) else ""
    title = f"Ground truth (above) and predictions (below){part}; a tick marks when `started` was emitted"
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, title=title)
    figure.savefig(path, dpi=110)


def _rows(video: ScoredVideo) -> list[_Row]:
    rows: list[_Row] = [(_label(truth), truth, truth.predictions) for truth in video.truths]
    for outcome in (Outcome.FALSE, Outcome.IGNORED):
        unassigned: dict[str, list[ScoredPrediction]] = {}
        for each in video.unassigned:
            if each.outcome is outcome:
                unassigned.setdefault(hoi_name(each), []).append(each)
        rows += [(f"{_NAMES[outcome]}: {name}", None, tuple(of_name)) for name, of_name in sorted(unassigned.items())]
    return rows


def _label(truth: ScoredTruth) -> str:
    episode = truth.episode
    who = f"#{episode.human}" if episode.object is None else f"#{episode.human}, #{episode.object}"
    return f"{hoi_name(truth)} ({who})"


def _draw(axes: "Axes", video: ScoredVideo, rows: Sequence[_Row]) -> None:
    for place, (_, truth, predictions) in enumerate(rows):
        if truth is not None:
            episode = truth.episode
            axes.barh(place - 0.22, episode.end - episode.start, left=episode.start, height=0.34, color=_GROUND_TRUTH)
            note = ", ".join(episode.difficulties)
            if truth.is_required and truth.match is None:
                note = f"MISSED  {note}"
            elif not truth.is_required:
                note = "too short to count"
            axes.text(episode.end, place - 0.22, f" {note}", va="center", fontsize=7, color="#cc3344" if "MISSED" in note else "#666666")
        for each in predictions:
            start, end = each.episode.start, each.episode.end
            colour = _COLOURS[each.outcome]
            height = 0.17 if each.outcome is Outcome.DUPLICATE else 0.34  # the episode behind it stays visible
            axes.barh(place + 0.2, end - start, left=start, height=height, color=colour, alpha=0.85, edgecolor="white", linewidth=0.8)
            axes.vlines(each.episode.emitted, place + 0.03, place + 0.37, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=8)
    axes.set(xlim=(0, video.seconds), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("seconds", fontsize=8, labelpad=1)
    axes.set_title(video.name, fontsize=10, loc="left", fontweight="bold")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
