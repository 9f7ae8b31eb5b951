"""`edge-hoi events`: ask what was seen, from where sinks put it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from edge_hoi.cli.terminal import harmless, out, print_note, print_result
from edge_hoi.compat import UTC
from edge_hoi.errors import ConfigError
from edge_hoi.history import (
    COLUMNS,
    EpisodeJoin,
    Form,
    GroupKey,
    Selection,
    event_files,
    parse_time,
    read_records,
    row_lines,
    sum_columns,
    sum_up,
    write_rows,
)
from edge_hoi.overwriting import refuse_overwriting

if TYPE_CHECKING:
    from edge_hoi.history import PastEpisode

_DEFAULT_LIMIT = 100


def events(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Files of events (.jsonl, .csv, .parquet, .db), an outbox, or folders of these."),
    ],
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only what lasted until then: 2h, yesterday, 08:30, 2026-11-25T08:30.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only what started before.")] = None,
    verbs: Annotated[list[str] | None, typer.Option("--verb", help="Only this verb; may be repeated, and have * and ?.")] = None,
    objects: Annotated[list[str] | None, typer.Option("--object", help="Only with this object; likewise.")] = None,
    cameras: Annotated[list[str] | None, typer.Option("--camera", help="Only of this source; likewise.")] = None,
    zones: Annotated[list[str] | None, typer.Option("--zone", help="Only what was in this zone; likewise.")] = None,
    rules: Annotated[list[str] | None, typer.Option("--rule", help="Only what matched this rule; likewise.")] = None,
    min_score: Annotated[float, typer.Option("--min-score", min=0, max=1, help="Least score at its peak.")] = 0.0,
    min_seconds: Annotated[float, typer.Option("--min-seconds", min=0, help="Least length.")] = 0.0,
    sums: Annotated[list[GroupKey] | None, typer.Option("--sum", help="Instead: how often and how long, by this; may be repeated.")] = None,
    form: Annotated[Form | None, typer.Option("--format", help="By default that of --output, else a table.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file instead of standard output.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the newest so many; in a table 100 by default.")] = None,
    timeline: Annotated[Path | None, typer.Option("--timeline", help="Also draw them over time: .png, .svg or .html.")] = None,
    media: Annotated[
        Path | None, typer.Option("--media", help="With --timeline. Folder of the snapshots, if they are elsewhere now.")
    ] = None,
) -> None:
    """Show the episodes that events tell of, one line each, or sums of them. Times are in the local time zone; nothing is changed.

    edge-hoi events outbox.sqlite --since yesterday --verb ride --camera gate

    edge-hoi events events.jsonl --since 1w --sum day --sum interaction --format csv

    edge-hoi events seen.db --since 08:00 --timeline morning.html
    """
    form = _form_of(form, output)
    if limit and sums:
        raise ConfigError("--limit is of episodes, and --sum counts them all; leave one of them out")
    if media and not timeline:
        raise ConfigError("--media has the images of a timeline; name its file with --timeline")
    outputs = [(name, path) for name, path in (("--output", output), ("--timeline", timeline)) if path]
    files = {each for place in sources for each in (place, *event_files(place))}
    parts = ("", "-wal", "-shm", "-journal")  # of a database
    refuse_overwriting(outputs, [("a source", Path(f"{each}{part}")) for each in sorted(files) for part in parts])
    if timeline:
        from edge_hoi.history.timeline import check_timeline

        check_timeline(timeline)
    now = datetime.now(UTC)
    selection = Selection(
        since=parse_time(since, now, "--since") if since else None,
        until=parse_time(until, now, "--until") if until else None,
        cameras=tuple(cameras or ()),
        verbs=tuple(verbs or ()),
        objects=tuple(objects or ()),
        zones=tuple(zones or ()),
        rules=tuple(rules or ()),
        min_score=min_score,
        min_seconds=min_seconds,
    )
    if selection.since and selection.until and selection.since >= selection.until:
        raise ConfigError(f"--since {since} is not before --until {until}; exchange them")
    with EpisodeJoin(selection) as join:
        join.read(read_records(sources, print_note))
        if sums:
            keys = list(dict.fromkeys(sums))
            _show(form, output, sum_columns(keys), sum_up(join, keys, selection))
        elif form is Form.TABLE:
            _show_table(join, limit or _DEFAULT_LIMIT, is_limited=limit is not None)
        else:
            _show(form, output, COLUMNS, (each.to_row() for each in (join.newest(limit) if limit else join)))
        if next(iter(join), None) is None:
            _explain(join)
        elif timeline:
            from edge_hoi.history.timeline import write_timeline

            write_timeline(join, timeline, selection, media=media, note=print_note)


def _form_of(form: Form | None, output: Path | None) -> Form:
    if form is None:
        form = next((each for each in Form if output and output.suffix.lower() == f".{each}"), None)
        if output and form in (None, Form.TABLE):
            raise ConfigError(f"{output}: expected the suffix .csv, .parquet, .json or .jsonl; choose one, or give --format")
    if form is Form.TABLE and output:
        raise ConfigError("a table is for the terminal; give --format csv, parquet, json or jsonl with --output")
    if form is Form.PARQUET and output is None:
        raise ConfigError("Parquet needs a file; name one with --output")
    return form or Form.TABLE


def _show(form: Form, output: Path | None, columns: Sequence[tuple[str, Any]], rows: Iterator[Sequence[Any]]) -> None:
    """Write rows to a file, or print them."""
    if output:
        write_rows(output, form, columns, rows)
    elif form is Form.TABLE:
        table = _table([name for name, _ in columns], {name for name, kind in columns if kind in ("integer", "real")})
        for row in rows:
            table.add_row(*map(_cell, row))
        out.print(table)
    else:
        for line in row_lines(form, columns, rows):
            print_result(harmless(line) if form is Form.CSV else line)


def _show_table(join: EpisodeJoin, limit: int, *, is_limited: bool) -> None:
    table = _table(["start", "length", "camera", "interaction", "score", "zones", "rule", "end"], {"length", "score"})
    found = join.newest(limit + 1)
    for each in found[-limit:]:
        table.add_row(
            _start(each),
            f"{each.seconds:.1f} s",
            each.camera or "-",
            each.text,
            f"{each.score_peak:.2f}",
            ", ".join(each.zones),
            f"{each.rule} ({each.severity})" if each.severity else each.rule or "",
            each.end_reason or "open",
        )
    if found:
        out.print(table)
    if len(found) > limit and not is_limited:
        print_note(f"only the newest {limit} episodes are shown; --limit shows more, --format csv all")


def _table(names: Sequence[str], numbers: set[str]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def _start(episode: "PastEpisode") -> str:
    return f"{episode.start_seconds:.1f} s" if episode.is_relative else episode.start.astimezone().isoformat(timespec="seconds")


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    return f"{value:.1f}" if isinstance(value, float) else "-" if value in (None, "") else str(value)


def _explain(join: EpisodeJoin) -> None:
    """Say what there is where nothing was selected."""
    if join.first is None or join.last is None:
        print_note("there are no events")
        return
    known = "; ".join(f"{kind}s: {', '.join(sorted(name or '-' for name in names))}" for kind, names in join.names.items())
    span = " to ".join(time.astimezone().isoformat(timespec="seconds") for time in (join.first, join.last))
    print_note(f"no episode is selected; there are {join.events} events from {span}, with {known}")
