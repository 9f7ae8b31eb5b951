"""Render events as Frigate's MQTT `events` messages (https://docs.frigate.video/integrations/mqtt/#frigateevents).

An episode becomes a tracked object: the person, with the object of the interaction as its attribute and the interaction's text as its
sub-label. Existing automations filter by `type`, `camera`, `label`, zones and scores. Values that Frigate measures and this program does
not (speed, motion) are those that Frigate uses for unknown.
"""

import json
from typing import Any

from edge_hoi.types import Event, NormalisedBox, Phase, Severity

TYPES = {Phase.STARTED: "new", Phase.UPDATED: "update", Phase.ENDED: "end"}
_DIGITS = 6


def render_message(event: Event, previous: Event | None) -> bytes:
    """Render an event as JSON in UTF-8.

    Args:
        event: The event.
        previous: Its episode's event before; None for the first event, and for an episode that an earlier run started.
    """
    after = _tracked_object(event)
    if previous is not None:
        before = _tracked_object(previous)
    elif event.phase is Phase.STARTED:  # Frigate's object is a false positive until its first message
        before = {**after, "false_positive": True, "current_zones": [], "entered_zones": []}
    else:
        before = {**after, "end_time": None}
    message = {"type": TYPES[event.phase], "before": before, "after": after}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _tracked_object(event: Event) -> dict[str, Any]:
    box, area = _pixels(event, event.human.box)
    whole_frame = [0, 0, event.frame_width, event.frame_height]
    score = round(event.score.now, _DIGITS)
    attributes = []
    if event.object is not None:
        object_box, _ = _pixels(event, event.object.box)
        attributes = [{"label": event.object.category, "box": object_box, "score": round(event.object.score, _DIGITS)}]
    seen_at = _seconds(event.last.utc.timestamp())
    return {
        "id": event.event_id,
        "camera": event.camera,
        "frame_time": seen_at,
        "snapshot": {"frame_time": seen_at, "box": box, "area": area, "region": whole_frame, "score": score, "attributes": attributes},
        "label": event.human.category,
        "sub_label": [event.text, score],
        "top_score": round(event.score.peak, _DIGITS),
        "false_positive": False,
        "start_time": _seconds(event.start.utc.timestamp()),
        "end_time": _seconds(event.end.utc.timestamp()) if event.end else None,
        "score": score,
        "box": box,
        "area": area,
        "ratio": round((box[2] - box[0]) / max(1, box[3] - box[1]), _DIGITS),
        "region": whole_frame,
        "active": True,
        "stationary": False,
        "motionless_count": 0,
        "position_changes": 0,
        "current_zones": list(event.zones),
        "entered_zones": list(event.entered_zones),
        "has_clip": event.clip is not None,
        "has_snapshot": event.snapshot is not None,
        "thumbnail": None,
        "attributes": {attribute["label"]: attribute["score"] for attribute in attributes},
        "current_attributes": attributes,
        "pending_loitering": False,
        "max_severity": "alert" if event.severity is Severity.ALERT else "detection",
        "current_estimated_speed": 0,
        "average_estimated_speed": 0,
        "velocity_angle": 0,
        "path_data": [],
        "recognized_license_plate": None,
    }


def _pixels(event: Event, box: NormalisedBox) -> tuple[list[int], int]:
    """Return a box as xyxy in pixels, and its area in pixels."""
    left, right = (round(box[side] * event.frame_width) for side in (0, 2))
    top, bottom = (round(box[side] * event.frame_height) for side in (1, 3))
    return [left, top, right, bottom], (right - left) * (bottom - top)


def _seconds(timestamp: float) -> float:
    return round(timestamp, _DIGITS)
