"""Tables of event quality for the terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from edge_hoi.lab.evaluation.events.matching import Outcome, ScoredTruth, ScoredVideo
from edge_hoi.lab.evaluation.events.metrics import Delay, EventMetrics, EventResults, hoi_name

_COLUMNS = (
    *("GT", "found", "pred.", "prec.", "recall", "F1", "IoU", "start p50 / p95", "emit p50 / p95", "end p50 / p95"),
    *("fragm.", "partial", "dupl.", "ID sw."),
)


def result_tables(results: EventResults) -> list[Table]:
    """Make the tables: overall, by verb, by HOI, by difficulty."""
    summary = f"{results.videos} videos, {results.seconds / 60:.1f} minutes, {results.duplicates_per_hour:.1f} duplicates an hour"
    ignored = f", {results.ignored} predictions ignored" if results.ignored else ""
    return [
        _table(f"Events: {summary}{ignored}; delays in seconds", {"all": results.overall}),
        _table("By verb", results.by_verb),
        _table("By interaction", results.by_hoi),
        _table("By difficulty", results.by_difficulty),
    ]


def episode_table(video: ScoredVideo) -> Table:
    """Make a table of one video's ground-truth episodes, then its false predictions."""
    required = [each for each in video.truths if each.is_required]
    found = sum(each.match is not None for each in required)
    title = f"Ground truth of {video.name}: {found} of {len(required)} episodes found"
    table = _empty_table(title, "episode", ("from", "to", "start delay", "emit delay", "end delay", "IoU"))
    table.add_column("")
    for truth in video.truths:
        table.add_row(hoi_name(truth), f"{truth.episode.start:.1f} s", f"{truth.episode.end:.1f} s", *_delays(truth), _outcome(truth))
    for prediction in video.unassigned:
        if prediction.outcome is Outcome.FALSE:
            span = (f"{prediction.episode.start:.1f} s", f"{prediction.episode.end:.1f} s")
            table.add_row(hoi_name(prediction), *span, *["-"] * 4, Text("false", style="red"))
    return table


def _delays(truth: ScoredTruth) -> list[str]:
    match, episode = truth.match, truth.episode
    if match is None:
        return ["-"] * 4
    emitted = f"{match.emitted - episode.start:+.2f} s" if match.emitted == match.emitted else "-"
    end = f"{match.end - episode.end:+.2f} s" if match.has_ended else "-"
    return [f"{match.start - episode.start:+.2f} s", emitted, end, f"{truth.temporal_iou:.2f}"]


def _outcome(truth: ScoredTruth) -> Text:
    if not truth.is_required:
        return Text("too short to count", style="dim")
    others = len(truth.predictions) - (truth.match is not None)
    if truth.match is None:
        return Text("missed" + (", fragments only" if others else ""), style="red")
    return Text("found" + (f", by {others + 1} predictions" if others else ""), style="yellow" if others else "green")


def _table(title: str, rows: Mapping[str, EventMetrics]) -> Table:
    table = _empty_table(title, "", _COLUMNS)
    for name, metrics in rows.items():
        table.add_row(name, *_cells(metrics))
    return table


def _empty_table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", min_width=len(title), box=None, header_style="bold", pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _cells(metrics: EventMetrics) -> list[str]:
    shares = (metrics.precision, metrics.recall, metrics.f1, metrics.temporal_iou)
    return [
        str(metrics.ground_truth),
        str(metrics.found),
        _number(metrics.predicted, ".0f"),
        *(_number(each, ".3f") for each in shares),
        *(_delay(each) for each in (metrics.start_delay, metrics.emit_delay, metrics.end_delay)),
        _number(metrics.fragmentation, ".2f"),
        *(str(each) for each in (metrics.missed_with_fragments, metrics.duplicates, metrics.id_switches)),
    ]


def _delay(delay: Delay) -> str:
    return "-" if delay.median != delay.median else f"{delay.median:+.2f} / {delay.p95:+.2f}"


def _number(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)
