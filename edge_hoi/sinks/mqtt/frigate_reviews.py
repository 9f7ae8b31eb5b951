"""Render the interactions of a camera as Frigate's MQTT `reviews` messages (https://docs.frigate.video/integrations/mqtt/#frigatereviews).

A review lasts from the first interaction of a camera until none is left. It is an `alert` once a rule of that severity has matched.
After a kill the next run no longer knows which episodes a review had: each of their ends (`restart`) ends a review of its own, of which
only that of the episode that began the review was announced.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from edge_hoi.types import HUMAN_CATEGORY, Event, Phase, Severity

_DIGITS = 6
_MAX_LISTED = 100
"""Most episodes listed in a review: that of a busy camera may last for days."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a review says, and the episodes that keep it open.

    Attributes:
        id: Start and first episode, in the form of Frigate's ids; the same in every run.
        camera: Name of the camera.
        start_time: Of the first episode, in seconds since 1970.
        end_time: Of the last one; None while one is open.
        is_alert: Whether a rule of severity `alert` has matched.
        thumb_path: The newest image's URI; empty where there is none.
        episodes: Ids of its newest episodes.
        objects: Their categories, in order of appearance.
        texts: Their interactions' texts.
        zones: The zones that they have been in.
        open_episodes: Ids of the episodes that have not ended.
    """

    id: str
    camera: str
    start_time: float
    end_time: float | None = None
    is_alert: bool = False
    thumb_path: str = ""
    episodes: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    open_episodes: frozenset[str] = frozenset()

    @property
    def is_over(self) -> bool:
        """Whether no episode is open."""
        return not self.open_episodes


def advance(review: Review | None, event: Event) -> tuple[Review, bytes | None]:
    """Apply an event to its camera's review; None, or one that is over, begins a new one.

    Returns:
        The review, and the message to publish (JSON in UTF-8); None where nothing has changed that Frigate reports.
    """
    before = None if review is None or review.is_over else review
    after = _after(before or _begin(event), event)
    if after.is_over:
        kind = "end"
    elif before is None:
        kind = "new"
    elif _rendered(before)["severity"] != _rendered(after)["severity"] or _rendered(before)["data"] != _rendered(after)["data"]:
        kind = "update"
    else:
        return after, None
    message = {"type": kind, "before": _rendered(before or replace(after, end_time=None)), "after": _rendered(after)}
    return after, json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _begin(event: Event) -> Review:
    start_time = round(event.start.utc.timestamp(), _DIGITS)
    return Review(f"{start_time:.6f}-{event.event_id[:6]}", event.camera, start_time)


def _after(review: Review, event: Event) -> Review:
    is_ended = event.phase is Phase.ENDED
    remaining = (review.open_episodes | {event.event_id}) - ({event.event_id} if is_ended else set())
    categories = (HUMAN_CATEGORY, *((event.object.category,) if event.object else ()))
    return replace(
        review,
        end_time=round((event.end or event.last).utc.timestamp(), _DIGITS) if not remaining else None,
        is_alert=review.is_alert or event.severity is Severity.ALERT,
        thumb_path=event.snapshot.uri if event.snapshot else review.thumb_path,
        episodes=_united(review.episodes, (event.event_id,))[-_MAX_LISTED:],
        objects=_united(review.objects, categories),
        texts=_united(review.texts, (event.text,)),
        zones=_united(review.zones, event.entered_zones),
        open_episodes=remaining,
    )


def _rendered(review: Review) -> dict[str, Any]:
    return {
        "id": review.id,
        "camera": review.camera,
        "start_time": review.start_time,
        "end_time": review.end_time,
        "severity": "alert" if review.is_alert else "detection",
        "thumb_path": review.thumb_path,
        "data": {
            "detections": list(review.episodes),
            "objects": list(review.objects),
            "sub_labels": list(review.texts),
            "zones": list(review.zones),
            "audio": [],
        },
    }


def _united(names: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *more)))
