"""Sample events: episodes with a start, some updates and an end."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from scripted import HUMAN, OBJECT, RIDE, play, times

from edge_hoi.compat import UTC
from edge_hoi.types import Absence, CameraEvent, CameraState, EndReason, Event, Moment, Phase

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


def make_outage(*, camera: str = "gate", start: datetime = NOON) -> list[CameraEvent]:
    """Return the events of a camera that comes, goes after a minute, and comes back after another."""
    first, second = (character * 32 for character in "ab")
    times = [start + timedelta(minutes=minute) for minute in range(3)]
    up = CameraEvent(first, 0, "site", camera, CameraState.STREAMING, times[0], times[0])
    error = {"error": "rtsp://gate/stream: no answer; is the camera on?", "error_code": "unreachable"}
    down = CameraEvent(first, 1, "site", camera, CameraState.RECONNECTING, times[1], times[1], 60.0, **error)
    return [up, down, CameraEvent(second, 0, "site", camera, CameraState.STREAMING, times[2], times[2], 60.0)]


def make_events(episodes: int, **options) -> list[Event]:
    """Return several episodes' events, five per episode, one episode after the other."""
    return [event for _ in range(episodes) for event in make_episode(**options)]
