"""A picture of what was true and what was told: a row for each true episode, with the predicted ones below it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_hoi.errors import ConfigError
from edge_hoi.lab.evaluation.events.figures import hoi_name
from edge_hoi.lab.evaluation.events.matching import JudgedPrediction, JudgedTruth, Judgement, Verdict
from edge_hoi.lab.evaluation.plot import check_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 500
"""More would make a picture that no program opens."""
_TRUE = "#3b3f46"
_COLOURS = {
    Verdict.MATCH: "#228833",
    Verdict.PIECE: "#ee9933",
    Verdict.DUPLICATE: "#aa3377",
    Verdict.FALSE: "#cc3344",
    Verdict.IGNORED: "#bbbbbb",
}
_NAMES = {
    Verdict.MATCH: "found",
    Verdict.PIECE: "a piece of it",
    Verdict.DUPLICATE: "a duplicate",
    Verdict.FALSE: "false",
    Verdict.IGNORED: "not counted",
}
_ROW_INCHES = 0.36
_Row = tuple[str, JudgedTruth | None, tuple[JudgedPrediction, ...]]


def plot_timeline(judgements: Sequence[Judgement], path: Path) -> None:
    """Draw each video's episodes over its time; false predictions have rows of their own, by interaction.

    Args:
        judgements: The videos; those that would make the picture larger than `MOST_ROWS` rows are left out, the title says so.
        path: Where to; its suffix says the form: .png, .svg or .pdf.

    Raises:
        MissingDependencyError: Matplotlib is not installed.
        ConfigError: The suffix is another, or there is no episode, neither true nor predicted.
        OSError: The file cannot be written.
    """
    check_plot(path)
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown: list[tuple[Judgement, list[_Row]]] = []
    for judgement in judgements:
        rows = _rows(judgement)[:MOST_ROWS]
        if rows and sum(len(each) for _, each in shown) + len(rows) <= MOST_ROWS:
            shown.append((judgement, rows))
    if not shown:
        raise ConfigError("there is nothing to plot: no episode is true and none was predicted")
    heights = [len(rows) + 2.5 for _, rows in shown]
    figure = Figure(figsize=(14, 0.9 + _ROW_INCHES * sum(heights)), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (judgement, rows) in zip(panels, shown, strict=True):
        _draw(axes, judgement, rows)
    handles = [Patch(color=_TRUE, label="true"), *(Patch(color=_COLOURS[each], label=_NAMES[each]) for each in Verdict)]
    part = f" ({len(shown)} of {len(judgements)} videos)" if len(shown) < len(judgements) else ""
    title = f"What was true (above) and what was told (below){part}; a tick marks when it was told first"
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, title=title)
    figure.savefig(path, dpi=110)


def _rows(judgement: Judgement) -> list[_Row]:
    rows: list[_Row] = [(_label(truth), truth, truth.predictions) for truth in judgement.truths]
    for verdict in (Verdict.FALSE, Verdict.IGNORED):
        strays: dict[str, list[JudgedPrediction]] = {}
        for each in judgement.strays:
            if each.verdict is verdict:
                strays.setdefault(hoi_name(each), []).append(each)
        rows += [(f"{_NAMES[verdict]}: {name}", None, tuple(of_name)) for name, of_name in sorted(strays.items())]
    return rows


def _label(truth: JudgedTruth) -> str:
    episode = truth.episode
    who = f"#{episode.human}" if episode.object is None else f"#{episode.human}, #{episode.object}"
    return f"{hoi_name(truth)} ({who})"


def _draw(axes: "Axes", judgement: Judgement, rows: Sequence[_Row]) -> None:
    for place, (_, truth, predictions) in enumerate(rows):
        if truth is not None:
            episode = truth.episode
            axes.barh(place - 0.22, episode.end - episode.start, left=episode.start, height=0.34, color=_TRUE)
            note = ", ".join(episode.difficulties)
            if truth.is_required and truth.match is None:
                note = f"MISSED  {note}"
            elif not truth.is_required:
                note = "too short to count"
            axes.text(episode.end, place - 0.22, f" {note}", va="center", fontsize=7, color="#cc3344" if "MISSED" in note else "#666666")
        for each in predictions:
            start, end = each.episode.start, each.episode.end
            colour = _COLOURS[each.verdict]
            height = 0.17 if each.verdict is Verdict.DUPLICATE else 0.34  # what it repeats is to be seen behind it
            axes.barh(place + 0.2, end - start, left=start, height=height, color=colour, alpha=0.85, edgecolor="white", linewidth=0.8)
            axes.vlines(each.episode.told, place + 0.03, place + 0.37, color="black", linewidth=1)
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows], fontsize=8)
    axes.set(xlim=(0, judgement.seconds), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("seconds", fontsize=8, labelpad=1)
    axes.set_title(judgement.name, fontsize=10, loc="left", fontweight="bold")
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
