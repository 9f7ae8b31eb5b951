"""Terminal output of a run: events as they happen, a live line per camera, and a summary table."""

import time
from collections.abc import Sequence
from types import TracebackType

from rich.live import Live
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from edge_hoi.cli.terminal import err, out
from edge_hoi.pipeline.annotated_video import describe
from edge_hoi.pipeline.status import CameraStatus
from edge_hoi.types import Event, Phase

REDRAW_SECONDS = 0.2
PLAIN_LINE_SECONDS = 5.0
_KEEPS_UP = 0.9
"""Least share of a live camera's frames that an engine processes which keeps up."""
_SIGNS = {Phase.STARTED: ("▶", "green"), Phase.UPDATED: ("·", "dim"), Phase.ENDED: ("■", "cyan")}


class RunDisplay:
    """Shows a run. On a terminal a live line per camera; elsewhere a plain line every few seconds. A context manager."""

    def __init__(self, *, shows_events: bool, keeps: list[Event] | None = None) -> None:
        """Choose what is shown.

        Args:
            shows_events: Print a line for each event that starts or ends; off where standard output carries the events as JSON.
            keeps: List that collects all events; None to collect none.
        """
        self._keeps = keeps
        self._shows_events = shows_events
        self._live = Live(console=err, auto_refresh=False, transient=True) if err.is_terminal else None
        self._next_seconds = time.monotonic() + (0 if self._live else PLAIN_LINE_SECONDS)

    def __enter__(self) -> Self:
        """Start the live lines."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the live lines."""
        if self._live:
            self._live.stop()

    def show_events(self, events: Sequence[Event]) -> None:
        """Print a line for each event that starts or ends.

        Args:
            events: New events.
        """
        if self._keeps is not None:
            self._keeps.extend(events)
        if self._shows_events:
            for event in events:
                if event.phase is not Phase.UPDATED:
                    # On one terminal, the live line must make room.
                    (self._live.console if self._live and out.is_terminal else out).print(event_line(event), soft_wrap=True)

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        """Show each camera's status."""
        self.show_lines([progress_line(status) for status in statuses])

    def show_lines(self, lines: Sequence[Text]) -> None:
        """Show lines in the place of those before; not on a terminal, print them."""
        if self._live:
            self._live.update(Text("\n").join(lines), refresh=True)
        else:
            for line in lines:
                err.print(line, soft_wrap=True)
        self._next_seconds = time.monotonic() + (REDRAW_SECONDS if self._live else PLAIN_LINE_SECONDS)

    @property
    def is_due(self) -> bool:
        """Whether to show progress now."""
        return time.monotonic() >= self._next_seconds


def event_line(event: Event) -> Text:
    """Format an event as one line."""
    sign, colour = _SIGNS[event.phase]
    line = Text()
    line.append(f"{clock_time(event.last.pts_seconds if event.end is None else event.end.pts_seconds):>9}  ", style="dim")
    line.append(f"{event.camera}  ")
    line.append(f"{sign} {describe(event)}", style=colour)
    tail = f"  {event.score.peak:.2f}"
    if event.end is not None:
        tail += f"  after {event.duration_seconds:.1f} s ({event.end_reason})"
    return line.append(tail, style="dim")


def progress_line(status: CameraStatus) -> Text:
    """Format a camera's status as one line."""
    line = Text(f"{status.source_id}: ", style="bold")
    parts: list[str] = [status.state] if status.state != "streaming" else []
    position = clock_time(status.position_seconds)
    parts.append(f"{position} of {clock_time(status.duration_seconds)}" if status.duration_seconds else position)
    parts.append(f"{status.frames} frames")
    if status.rates is not None and status.rates[0] < _KEEPS_UP * status.rates[1]:
        parts.append(f"{status.rates[0]:.1f} of {status.rates[1]:.1f} fps: the engine cannot keep up")
    else:
        parts.append(f"{status.fps:.1f} fps")
    if status.carried:
        parts.append(f"{status.carried} without motion")
    if status.age_seconds is not None:
        parts.append(f"age {status.age_seconds[0] * 1000:.0f} ms")
    if status.skipped:
        parts.append(f"{status.skipped} skipped")
    if status.unreadable:
        parts.append(f"{status.unreadable} unreadable")
    if status.decoder not in (None, "cpu"):
        parts.append(f"decoded by {status.decoder}")
    if status.is_unverified:
        parts.append("TLS not verified")
    parts.append(f"{status.events} events, {status.running} open")
    return line.append(Text(" · ".join(parts), style="not bold"))


def clock_time(seconds: float) -> str:
    """Format a duration as minutes and seconds, with hours from one hour on."""
    minutes, tenths = divmod(round(max(0.0, seconds) * 10), 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths / 10:04.1f}"
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"


def _ending(status: CameraStatus) -> str:
    if status.state != "stopped" or not status.duration_seconds:
        return status.state
    return f"stopped at {clock_time(status.position_seconds)} of {clock_time(status.duration_seconds)}"


def summary_table(statuses: Sequence[CameraStatus]) -> Table:
    """Lay out the summary of a run, a row per camera."""
    table = Table(title="Summary", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("camera")
    for column in ("frames", "skipped", "corrupt", "unreadable", "fps", "age p50 / p95", "media time", "events"):
        table.add_column(column, justify="right")
    table.add_column("ended", overflow="fold")
    for status in statuses:
        age = "-" if status.age_seconds is None else f"{status.age_seconds[0] * 1000:.0f} / {status.age_seconds[1] * 1000:.0f} ms"
        how = Text(status.error, style="red") if status.error else Text(_ending(status))
        table.add_row(
            status.source_id,
            str(status.frames),
            str(status.skipped),
            str(status.corrupt),
            str(status.unreadable),
            f"{status.fps:.1f}",
            age,
            clock_time(status.position_seconds),
            str(status.events),
            how,
        )
    return table
