"""Predicted episodes, reassembled from events."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.events.camera_cloudevents import CAMERA_TYPE_PREFIX
from edge_hoi.events.cloudevents import TYPE_PREFIX
from edge_hoi.lab.datasets.files import as_list, as_mapping, parse_json, read_json_text, reading
from edge_hoi.types import NormalisedBox, Phase


@dataclass(frozen=True, slots=True)
class Observation:
    """The participants of an episode at one of its events.

    Attributes:
        seconds: Media time of their last evidence.
        human: The person's box, xyxy in [0, 1].
        object: The object's; None for an interaction without one.
    """

    seconds: float
    human: NormalisedBox
    object: NormalisedBox | None


@dataclass(frozen=True, slots=True)
class PredictedEpisode:
    """An episode as given by its events. Times are seconds of media time.

    Attributes:
        object_name: The object's category; None for an interaction without one.
        start: First evidence.
        emitted: Media time at which `started` was emitted; NaN where that event is missing.
        end: Last evidence known.
        has_ended: Whether its `ended` is there.
        observations: One for each event, in order.
    """

    event_id: str
    camera: str
    verb: str
    object_name: str | None
    start: float
    emitted: float
    end: float
    has_ended: bool
    observations: tuple[Observation, ...]


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read a file written by `edge-hoi run --events`, a JSON object on each line, unchecked.

    Raises:
        DatasetError: It cannot be read, or a line is not JSON; names the line.
    """
    try:
        lines = read_json_text(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 text; name a file written by `edge-hoi run --events`") from error
    documents = []
    for number, line in enumerate(lines, start=1):
        try:
            documents.append(dict(as_mapping(parse_json(line), "an event")))
        except (ValueError, RecursionError, DatasetError) as error:
            raise DatasetError(f"{path}, line {number}: expected an event as JSON ({error}); is the file truncated?") from error
    return documents


def is_of_interaction(event: Mapping[str, Any]) -> bool:
    """Tell an event of an interaction from that of a camera, which has no episode.

    Raises:
        DatasetError: It is neither.
    """
    kind = str(event["type"])
    if not kind.startswith((TYPE_PREFIX, CAMERA_TYPE_PREFIX)):
        raise DatasetError(f"expected an event of type {TYPE_PREFIX}*, got {kind[:80]!r}")
    return kind.startswith(TYPE_PREFIX)


def predicted_episodes(events: Iterable[Mapping[str, Any]]) -> list[PredictedEpisode]:
    """Reassemble events, in any order, into episodes. An event delivered twice (equal `source` and `id`) counts once.

    Returns:
        The episodes, by start.

    Raises:
        DatasetError: One is not an event of this program; names it.
    """
    by_episode: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for number, event in enumerate(events, start=1):
        with reading(f"event {number}"):
            if not is_of_interaction(event):
                continue
            key = (str(event["source"]), str(event["subject"]))
            by_episode.setdefault(key, {})[int(event["sequence"])] = event
    episodes = []
    for (source, event_id), by_sequence in by_episode.items():
        with reading(f"episode {event_id[:40]} of {source[:80]}"):
            episodes.append(_episode([by_sequence[sequence] for sequence in sorted(by_sequence)]))
    return sorted(episodes, key=lambda episode: (episode.start, episode.end, episode.camera, episode.event_id))


def _episode(events: list[Mapping[str, Any]]) -> PredictedEpisode:
    first, last = events[0]["data"], events[-1]["data"]
    observations = tuple(_observation(event["data"]) for event in events)
    start = _seconds(first["start"])
    if not start <= observations[-1].seconds:
        raise DatasetError(f"an episode must not end before it starts, got {start} s and {observations[-1].seconds} s")
    return PredictedEpisode(
        event_id=str(first["event_id"]),
        camera=str(events[0]["partitionkey"]),
        verb=str(first["verb"]),
        object_name=None if first["object"] is None else str(first["object"]["category"]),
        start=start,
        emitted=observations[0].seconds if first["phase"] == Phase.STARTED else math.nan,
        end=observations[-1].seconds,
        has_ended=last["phase"] == Phase.ENDED,
        observations=observations,
    )


def _observation(data: Mapping[str, Any]) -> Observation:
    other = data["object"]
    return Observation(_seconds(data["last"]), _box(data["human"]["box"]), None if other is None else _box(other["box"]))


def _seconds(time: Mapping[str, Any]) -> float:
    seconds = float(time["pts_seconds"])
    if not math.isfinite(seconds):
        raise DatasetError(f"expected pts_seconds as a finite number, got {seconds}")
    return seconds


def _box(value: object) -> NormalisedBox:
    left, top, right, bottom = (float(edge) for edge in as_list(value, "a box's four edges"))
    if not all(0 <= edge <= 1 for edge in (left, top, right, bottom)):
        raise DatasetError(f"expected a box relative to the frame, from 0 to 1, got {str(value)[:80]}")
    return left, top, right, bottom
