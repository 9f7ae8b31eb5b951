"""A first ground truth from the events of a run, to be corrected."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, reading
from edge_hoi.lab.datasets.truth import MAX_TRACK_ID, Truth, TruthEpisode, TruthTrack, TruthVideo
from edge_hoi.lab.evaluation.events.predicted import is_of_interaction
from edge_hoi.lab.labels.keyframes import fill, frames_in
from edge_hoi.types import HUMAN_CATEGORY

_SECONDS_DIGITS = 6
_LEAST_PIXELS = 1.0
"""Narrower boxes, of what has all but left the frame, are left out."""


class _Draft:
    """Tracks with the boxes of all events, and the spans of frames of all episodes that they take part in."""

    def __init__(self, video: TruthVideo) -> None:
        self._video = video
        self._ids: dict[tuple[int, str], int] = {}
        self._others = count(1)
        self._keyframes: dict[int, dict[int, list[float]]] = {}
        self._spans: dict[int, list[tuple[int, int]]] = {}

    def add(self, who: Mapping[str, Any], category: str, seen: Iterable[tuple[float, Sequence[float]]], span: tuple[float, float]) -> int:
        """Add what an episode shows of a person or an object, with boxes relative to the frame; return the track's id."""
        key = (int(who["track_id"]), category)
        if key not in self._ids:
            is_free = 0 < key[0] <= MAX_TRACK_ID and key[0] not in self._keyframes
            self._ids[key] = key[0] if is_free else next(each for each in self._others if each not in self._keyframes)
        name = self._ids[key]
        width, height = self._video.width, self._video.height
        boxes = self._keyframes.setdefault(name, {})
        for seconds, box in seen:
            left, top, right, bottom = as_boxes([box])[0].tolist()
            scaled = [left * width, top * height, right * width, bottom * height]
            if min(scaled[2] - scaled[0], scaled[3] - scaled[1]) >= _LEAST_PIXELS:
                boxes[self._frame(seconds)] = scaled
        self._spans.setdefault(name, []).append((self._frame(span[0]), self._frame(span[1]) + 1))
        return name

    def tracks(self) -> dict[int, TruthTrack]:
        """Interpolate the boxes."""
        categories = {name: category for (_, category), name in self._ids.items()}
        tracks: dict[int, TruthTrack] = {}
        known = 0
        for name, boxes in sorted(self._keyframes.items()):
            tracks[name] = TruthTrack(categories[name], *fill(boxes, frames_in(self._spans[name] if boxes else (), known)))
            known += len(tracks[name].frames)
        return tracks

    def _frame(self, seconds: float) -> int:
        return min(self._video.frames - 1, max(0, round(seconds * self._video.fps)))


def draft_truth(video: TruthVideo, events: Iterable[Mapping[str, Any]], *, camera: str, verbs: Sequence[str] = ()) -> Truth:
    """Make a ground truth of the episodes of a camera.

    Boxes are those of the events, interpolated within each episode.

    Args:
        video: The video.
        events: CloudEvents envelopes in any order, of this camera and others.
        camera: Its name.
        verbs: Only these, which are then the annotated verbs; empty for all.

    Raises:
        DatasetError: One is not an event of this program, or there are events, and none is of `camera`, or they make too many boxes.
    """
    by_camera: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
    for number, event in enumerate(events, start=1):
        with reading(f"event {number}"):
            if not is_of_interaction(event):
                continue
            episodes = by_camera.setdefault(str(event["partitionkey"]), {})
            episodes.setdefault(str(event["subject"]), {})[int(event["sequence"])] = event["data"]
    if by_camera and camera not in by_camera:
        names = f"{'camera' if len(by_camera) == 1 else 'cameras'} {', '.join(sorted(by_camera))[:200]}"
        raise DatasetError(f"the events are of the {names}, none of {camera}; choose one with --camera")
    draft, found = _Draft(video), []
    for name, by_sequence in by_camera.get(camera, {}).items():
        data = [by_sequence[sequence] for sequence in sorted(by_sequence)]
        if not verbs or data[-1]["verb"] in verbs:
            with reading(f"episode {name[:40]}"):
                found.append(_episode(data, draft, video))
    found.sort(key=lambda each: (each.start, each.end, each.human, each.verb))
    return Truth(video, draft.tracks(), tuple(found), tuple(verbs) or None)


def _episode(data: Sequence[Mapping[str, Any]], draft: _Draft, video: TruthVideo) -> TruthEpisode:
    newest, frame = data[-1], 1 / video.fps
    start = min(max(0.0, float(newest["start"]["pts_seconds"])), video.duration_seconds - frame)
    end = min(max(float(newest["last"]["pts_seconds"]), start + frame), video.duration_seconds)
    human = draft.add(newest["human"], HUMAN_CATEGORY, _seen(data, "human"), (start, end))
    other = None
    if newest["object"] is not None:
        other = draft.add(newest["object"], str(newest["object"]["category"]), _seen(data, "object"), (start, end))
    category = None if other is None else str(newest["object"]["category"])
    return TruthEpisode(human, other, str(newest["verb"]), category, round(start, _SECONDS_DIGITS), round(end, _SECONDS_DIGITS))


def _seen(data: Sequence[Mapping[str, Any]], who: str) -> Iterator[tuple[float, Sequence[float]]]:
    """Yield the times and boxes of a person or an object in the events of an episode."""
    if boxes := data[0].get("start_boxes"):
        yield float(data[0]["start"]["pts_seconds"]), boxes[who]
    yield from ((float(each["last"]["pts_seconds"]), each[who]["box"]) for each in data)
