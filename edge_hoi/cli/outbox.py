"""`edge-hoi outbox`: waiting events, dead letters, and replays."""

import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from edge_hoi.cli.terminal import out
from edge_hoi.compat import UTC
from edge_hoi.errors import ConfigError

if TYPE_CHECKING:
    from edge_hoi.outbox import OutboxReader

app = typer.Typer(no_args_is_help=True, help="Inspect an outbox, also while a run uses it, and deliver events again.")

PlaceArgument = Annotated[Path, typer.Argument(help="The outbox's file, or a configuration (.yaml) that sets it.", metavar="OUTBOX")]
SinkOption = Annotated[str | None, typer.Option("--sink", help="Only of this sink.")]


@app.command("status")
def status(place: PlaceArgument) -> None:
    """Show each sink's state, waiting events, dead letters and dropped events."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("sink")
    table.add_column("state")
    for column in ("waiting", "lag", "delivered", "replays", "dead", "dropped"):
        table.add_column(column, justify="right")
    table.add_column("error", overflow="fold")
    with _open(place) as reader:
        records = reader.sinks()
    for record in records:
        lag = "-" if record.oldest_waiting_at is None else f"{max(0.0, time.time() - record.oldest_waiting_at):.0f} s"
        counts = (record.waiting, lag, record.delivered, record.replays, record.dead, record.dropped)
        table.add_row(record.name, record.state or "-", *map(str, counts), record.error or "")
    out.print(table if records else "no sink has used this outbox yet")


@app.command("dead-letters")
def dead_letters(place: PlaceArgument, sink: SinkOption = None) -> None:
    """List the events that a sink can never accept, and why; `replay --dead-letters` retries them."""
    with _open(place) as reader:
        letters = reader.dead_letters(sink)
    for letter in letters:
        event = letter.message.event
        refused_at = datetime.fromtimestamp(letter.refused_at, UTC).isoformat(timespec="seconds")
        line = f"{refused_at}  {letter.sink}  {letter.message.id}  {event.camera}: {event.text}, {event.phase}  {letter.reason}"
        out.print(line, soft_wrap=True)
    if not letters:
        out.print("no dead letters")


@app.command("replay")
def replay(
    place: PlaceArgument,
    sink: Annotated[str, typer.Option("--sink", help="The sink to deliver to.")],
    since: Annotated[datetime | None, typer.Option("--since", help="Events of this time or later, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option("--until", help="Events before this time, UTC.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Events of this source.")] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="Events of this episode.")] = None,
    only_dead_letters: Annotated[bool, typer.Option("--dead-letters", help="The sink's dead letters instead of delivered events.")] = False,
) -> None:
    """Deliver events to a sink again: within seconds if a run uses the outbox, else in the next run.

    edge-hoi outbox replay outbox.sqlite --sink kafka --since 2026-11-25T10:00:00 --until 2026-11-25T11:00:00
    """
    from edge_hoi.outbox import Selection

    selection = Selection(since and since.replace(tzinfo=UTC), until and until.replace(tzinfo=UTC), camera, event_id)
    with _open(place) as reader:
        count = reader.request_replay(sink, selection, dead_letters=only_dead_letters)
    out.print(f"{count} events will be delivered to {sink} again")


def _open(place: Path) -> "OutboxReader":
    from edge_hoi.config import load_config
    from edge_hoi.outbox import OutboxReader

    if place.suffix not in (".yaml", ".yml"):
        return OutboxReader(place)
    path = load_config(place).outbox.path
    if path is None:
        raise ConfigError(f"{place}: it has no `outbox: {{path: ...}}`, so waiting events are deleted at the end of each run")
    return OutboxReader(Path(path))
