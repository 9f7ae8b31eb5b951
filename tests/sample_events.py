"""Sample events: episodes with a start, some updates and an end."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from scripted import HUMAN, OBJECT, RIDE, play, times

from edge_hoi.compat import UTC
from edge_hoi.types import Absence, EndReason, Event, Moment, Phase

(STARTED,) = play(lambda pts: [(HUMAN, OBJECT, RIDE, 0.8)], times(10, 2))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_episode(
    updates: int = 3, *, event_id: str | None = None, camera: str = "gate", start: datetime = NOON, is_live: bool = True
) -> list[Event]:
    """Return one episode's events, one second apart."""
    name = event_id or uuid.uuid4().hex
    events = []
    for sequence in range(updates + 2):
        phase = Phase.STARTED if sequence == 0 else Phase.ENDED if sequence == updates + 1 else Phase.UPDATED
        now = Moment(start + timedelta(seconds=sequence), float(sequence))
        events.append(
            replace(
                STARTED,
                event_id=name,
                group_id=name,
                sequence=sequence,
                phase=phase,
                camera=camera,
                start=Moment(start, 0.0),
                last=now,
                end=now if phase is Phase.ENDED else None,
                end_reason=EndReason.ABSENT if phase is Phase.ENDED else None,
                absence=Absence.STOPPED if phase is Phase.ENDED else None,
                duration_seconds=float(sequence),
                recorded_at=now.utc if is_live else None,
            )
        )
    return events


def make_events(episodes: int, **options) -> list[Event]:
    """Return several episodes' events, five per episode, one episode after the other."""
    return [event for _ in range(episodes) for event in make_episode(**options)]
