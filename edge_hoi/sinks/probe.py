"""The events that `edge-hoi sinks test` sends: valid, and marked as a test by camera and text."""

import uuid
from dataclasses import replace
from datetime import datetime

from edge_hoi.compat import UTC
from edge_hoi.types import (
    HUMAN_CATEGORY,
    CameraEvent,
    CameraState,
    ClockInfo,
    EndReason,
    EpisodeScore,
    Event,
    ModelInfo,
    Moment,
    Participant,
    Phase,
)

PROBE_CAMERA = "edge-hoi-sinks-test"


def make_probe(site: str) -> tuple[Event, Event]:
    """Return the `started` and the `ended` event of an episode of no duration, as of now."""
    now = datetime.now(UTC)
    moment = Moment(now, 0.0)
    started = Event(
        event_id=uuid.uuid4().hex,
        sequence=0,
        phase=Phase.STARTED,
        end_reason=None,
        site=site,
        camera=PROBE_CAMERA,
        human=Participant(1, HUMAN_CATEGORY, (0.25, 0.25, 0.75, 0.75), 1.0),
        object=None,
        verb="test",
        hoi_id=0,
        text="person testing edge-hoi",
        score=EpisodeScore(1.0, 1.0, 1.0),
        start=moment,
        last=moment,
        end=None,
        duration_seconds=0.0,
        frames_seen=1,
        frames_missed=0,
        frame_width=640,
        frame_height=360,
        clock=ClockInfo("arrival", "estimated"),
        model=ModelInfo("none", "0" * 64, "none", "none"),
        recorded_at=now,
    )
    return started, replace(started, sequence=1, phase=Phase.ENDED, end=moment, end_reason=EndReason.SHUTDOWN)


def make_camera_probe(site: str) -> tuple[CameraEvent, CameraEvent]:
    """Return the `up` and the `down` of a camera, as of now."""
    now = datetime.now(UTC)
    up = CameraEvent(uuid.uuid4().hex, 0, site, PROBE_CAMERA, CameraState.STREAMING, now, now)
    return up, replace(up, sequence=1, state=CameraState.STOPPED, duration_seconds=0.0)
