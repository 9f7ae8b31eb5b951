"""Recordings of a list on the terminal: progress with the time that is left, and what became of each."""

import threading
import time
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from edge_hoi.cli.display import RunDisplay, clock_time, progress_line
from edge_hoi.pipeline.recordings import Recording, RecordingResult
from edge_hoi.pipeline.status import CameraStatus
from edge_hoi.types import Event

_FIRST_ESTIMATE = 0.005
"""Least share of the work that is done before the time left is estimated."""


class RecordingsDisplay(RunDisplay):
    """Shows a run over a list of recordings: a line for all, and one for each that is being processed. Threads may share it."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        """Take the list."""
        super().__init__(shows_events=True)
        self._sizes = {each.source_id: each.size for each in recordings}
        self._running: dict[str, CameraStatus] = {}
        self._results: dict[str, RecordingResult] = {}
        self._began_seconds = time.monotonic()
        self._showing = threading.RLock()

    def of(self, recording: Recording) -> "RecordingsDisplay":
        """Return what shows a recording: all share the terminal."""
        del recording
        return self

    def finish(self, result: RecordingResult) -> None:
        """Note what became of a recording."""
        with self._showing:
            self._results[result.source_id] = result
            self._running.pop(result.source_id, None)

    def show_events(self, events: Sequence[Event]) -> None:
        """Print a line for each event that starts or ends."""
        with self._showing:
            super().show_events(events)

    def show_progress(self, statuses: Sequence[CameraStatus]) -> None:
        """Show the progress of all, and of those that are being processed."""
        with self._showing:
            self._running |= {status.source_id: status for status in statuses if status.source_id not in self._results}
            self.show_lines([self._total(), *(progress_line(status) for status in self._running.values())])

    def _total(self) -> Text:
        """Format how much is done, by the files' sizes, which are known before they are opened."""
        earlier = sum(self._sizes[name] for name, result in self._results.items() if result.is_earlier)
        running = sum(self._sizes[name] * _share(status) for name, status in self._running.items())
        done = running + sum(self._sizes[name] for name, result in self._results.items() if not result.is_earlier)
        share = done / max(1.0, sum(self._sizes.values()) - earlier)
        parts = [f"{len(self._results)} of {len(self._sizes)} recordings", f"{100 * share:.0f} %"]
        if share > _FIRST_ESTIMATE:
            left = (time.monotonic() - self._began_seconds) * (1 - share) / share
            parts.append(f"{clock_time(left).rpartition('.')[0]} left")
        return Text(" · ".join(parts))


def _share(status: CameraStatus) -> float:
    return min(1.0, status.position_seconds / status.duration_seconds) if status.duration_seconds else 0.0


def recordings_table(results: Sequence[RecordingResult]) -> Table:
    """Lay out what became of each recording, and the sums."""
    table = Table(title="Summary", title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("recording")
    for column in ("frames", "damaged", "media time", "read", "events"):
        table.add_column(column, justify="right")
    table.add_column("result", overflow="fold")
    for result in results:
        read = "-" if not result.duration_seconds else f"{100 * min(1.0, _read_share(result)):.0f} %"
        how = f"{result.outcome}, by an earlier run" if result.is_earlier else str(result.outcome)
        table.add_row(
            result.source_id,
            str(result.frames),
            str(result.damaged),
            clock_time(result.seconds),
            read,
            str(result.events),
            Text(f"{result.outcome}: {result.error}", style="red") if result.error else Text(how),
        )
    counts = [sum(getattr(result, name) for result in results) for name in ("frames", "damaged", "events")]
    seconds = clock_time(sum(result.seconds for result in results))
    complete = sum(result.outcome == "complete" for result in results)
    table.add_row(
        f"{len(results)} recordings", str(counts[0]), str(counts[1]), seconds, "", str(counts[2]), f"{complete} complete", style="bold"
    )
    return table


def _read_share(result: RecordingResult) -> float:
    """Return the share of its length up to the end of the last frame."""
    last = result.seconds / (result.frames - 1) if result.frames > 1 else 0.0
    return (result.seconds + last) / (result.duration_seconds or 1.0)
