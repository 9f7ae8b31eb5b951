"""Events of chosen episodes, and the episodes that are read back."""

from dataclasses import replace
from datetime import timedelta

from sample_events import NOON, make_episode

from edge_hoi.history import EpisodeJoin, Selection, read_records
from edge_hoi.sinks import Message
from edge_hoi.types import ClockInfo, EpisodeScore, Moment


def past_events(event_id, *, at=0.0, seconds=3.0, is_open=False, is_relative=False, score=0.8, **fields):
    """Return the events of an episode that begins `at` seconds after noon: its start, an update and, unless it is open, its end."""
    start = NOON + timedelta(seconds=at)
    events = []
    for event in make_episode(1, event_id=event_id, start=start)[: 2 if is_open else 3]:
        last = Moment(start + timedelta(seconds=seconds * event.sequence / 2), seconds * event.sequence / 2)
        events.append(
            replace(
                event,
                last=last,
                end=last if event.end else None,
                duration_seconds=last.pts_seconds,
                score=EpisodeScore(0.5, score, 0.6),
                clock=ClockInfo("media", "relative" if is_relative else "synchronised"),
                **fields,
            )
        )
    return events


def bodies(*episodes):
    """Return the encoded events of episodes, one after the other."""
    return [Message.of(event).body for events in episodes for event in events]


def write_lines(path, *episodes):
    """Write a file of JSON lines; return its path."""
    path.write_bytes(b"".join(body + b"\n" for body in bodies(*episodes)))
    return path


def read_episodes(*places, notes=None, **conditions):
    """Return the selected episodes of files and folders, by start."""
    with EpisodeJoin(Selection(**conditions)) as join:
        join.read(read_records(places, [].append if notes is None else notes.append))
        return list(join)
