"""Tables of event quality for the terminal."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from edge_hoi.lab.evaluation.events.figures import Delay, EventFigures, EventResults, hoi_name
from edge_hoi.lab.evaluation.events.matching import JudgedTruth, Judgement, Verdict

_COLUMNS = (
    "true",
    "found",
    "pred.",
    "prec.",
    "recall",
    "F1",
    "IoU",
    "start p50 / p95",
    "told p50 / p95",
    "end p50 / p95",
    "fragm.",
    "in part",
    "dupl.",
    "ID sw.",
)


def result_tables(results: EventResults) -> list[Table]:
    """Lay out the figures: all, by verb, by HOI, by difficulty.

    Args:
        results: The figures.
    """
    about = f"{results.videos} videos, {results.seconds / 60:.1f} minutes, {results.duplicates_per_hour:.1f} duplicates an hour"
    ignored = f", {results.ignored} predictions ignored" if results.ignored else ""
    return [
        _table(f"Events: {about}{ignored}; delays in seconds", {"all": results.overall}),
        _table("By verb", results.by_verb),
        _table("By interaction", results.by_hoi),
        _table("By difficulty", results.by_difficulty),
    ]


def episode_table(judgement: Judgement) -> Table:
    """List one video's true episodes, found or missed, and below them what was made up.

    Args:
        judgement: The video.
    """
    required = [each for each in judgement.truths if each.is_required]
    found = sum(each.match is not None for each in required)
    table = Table(
        title=f"Truth of {judgement.name}: {found} of {len(required)} episodes found",
        title_justify="left",
        box=None,
        header_style="bold",
        pad_edge=False,
    )
    table.add_column("episode")
    for column in ("from", "to", "start delay", "told after", "end delay", "IoU"):
        table.add_column(column, justify="right")
    table.add_column("")
    for truth in judgement.truths:
        table.add_row(hoi_name(truth), f"{truth.episode.start:.1f} s", f"{truth.episode.end:.1f} s", *_delays(truth), _outcome(truth))
    for stray in judgement.strays:
        if stray.verdict is Verdict.FALSE:
            span = (f"{stray.episode.start:.1f} s", f"{stray.episode.end:.1f} s")
            table.add_row(hoi_name(stray), *span, *["-"] * 4, Text("false", style="red"))
    return table


def _delays(truth: JudgedTruth) -> list[str]:
    match, episode = truth.match, truth.episode
    if match is None:
        return ["-"] * 4
    told = f"{match.told - episode.start:+.2f} s" if match.told == match.told else "-"
    end = f"{match.end - episode.end:+.2f} s" if match.has_ended else "-"
    return [f"{match.start - episode.start:+.2f} s", told, end, f"{truth.temporal_iou:.2f}"]


def _outcome(truth: JudgedTruth) -> Text:
    if not truth.is_required:
        return Text("too short to count", style="dim")
    others = len(truth.predictions) - (truth.match is not None)
    if truth.match is None:
        return Text("missed" + (", but for a part" if others else ""), style="red")
    return Text("found" + (f", in {others + 1} episodes" if others else ""), style="yellow" if others else "green")


def _table(title: str, rows: Mapping[str, EventFigures]) -> Table:
    table = Table(title=title, title_justify="left", min_width=len(title), box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *_cells(figures))
    return table


def _cells(figures: EventFigures) -> list[str]:
    shares = (figures.precision, figures.recall, figures.f1, figures.temporal_iou)
    return [
        str(figures.true),
        str(figures.found),
        _number(figures.predicted, ".0f"),
        *(_number(each, ".3f") for each in shares),
        *(_delay(each) for each in (figures.start_delay, figures.told_delay, figures.end_delay)),
        _number(figures.fragmentation, ".2f"),
        *(str(each) for each in (figures.missed_in_part, figures.duplicates, figures.id_switches)),
    ]


def _delay(delay: Delay) -> str:
    return "-" if delay.median != delay.median else f"{delay.median:+.2f} / {delay.p95:+.2f}"


def _number(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)
