"""Labels as a text file, YAML with a line for each episode, for people to edit."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from edge_hoi.errors import ConfigError, DatasetError
from edge_hoi.lab.datasets.files import as_boxes, as_list, as_mapping, check_keys, reading, write_file
from edge_hoi.lab.datasets.truth import MAX_TRACK_ID, Truth, TruthEpisode, TruthTrack, TruthVideo
from edge_hoi.lab.labels.keyframes import check_boxes, fill, thin, visible_spans
from edge_hoi.types import HUMAN_CATEGORY
from edge_hoi.yaml_file import line_of, read_yaml

FORMAT = "edge-hoi labels 1"
_MAX_BYTES = 4_000_000
_MAX_VALUES = _MAX_BYTES // 2
"""A value takes two bytes at least."""
_TOLERANCE_PIXELS = 1.0
_KEYS = ("format", "video", "verbs", "episodes", "boxes")
_EPISODE_KEYS = ("start", "end", "verb", "object", "person", "object_id", "person_box", "object_box", "difficulties")
_SECONDS_DIGITS = 6
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):([0-5]?\d(?:\.\d{0,9})?)", re.ASCII)
"""Hours, minutes and seconds that YAML 1.1 takes for text, such as 0:01; it takes 0:01.5 and 1:01 for numbers."""
_HELP = """\
# Correct, add and remove lines of episodes, then: edge-hoi label {video} --labels THIS_FILE
# start, end: seconds, or 1:23.5. object: its category, or null. person, object_id: numbers that tell two of them apart; without one, it
# is a person, or an object, of no other line. person_box, object_box: [left, top, right, bottom] in pixels, if you like.
# verbs: those that you have labelled, [ride, hold], so that events of others do not count; null for all.
"""


def write_text(truth: Truth, path: Path) -> None:
    """Write labels as text; boxes to a pixel, at as few frames as that takes.

    Raises:
        DatasetError: The file cannot be written, or would be too large to be read.
    """
    lines = [_HELP.format(video=truth.video.file), *_pairs({"format": FORMAT, "video": truth.video.file})]
    lines += [*_pairs({"verbs": None if truth.verbs is None else list(truth.verbs)}), "episodes:\n"]
    for each in sorted(truth.episodes, key=lambda each: (each.start, each.end)):
        row: dict[str, Any] = {"start": each.start, "end": each.end, "verb": each.verb, "object": each.object_name, "person": each.human}
        row |= {} if each.object is None else {"object_id": each.object}
        row |= {"difficulties": list(each.difficulties)} if each.difficulties else {}
        lines.append(f"- {_flow(row)}\n")
    lines.append(
        "# Made by the program: the boxes of each number, as [seconds, left, top, right, bottom], a list for each time it is in view.\n"
    )
    lines.append("boxes:\n")
    for name, track in sorted(truth.tracks.items()):
        lines.append(f"  {name}: {_flow({'category': track.category, 'at': list(_keyframes(track, truth.video))})}\n")
    text = "".join(lines)
    if len(text.encode()) > _MAX_BYTES:
        raise DatasetError(
            f"{path}: more labels than the {_MAX_BYTES} bytes of a text can hold; write .xml or .json instead, or choose verbs"
        )
    write_file(path, text)


def read_text(path: Path, video: TruthVideo) -> Truth:
    """Read labels from text.

    Raises:
        DatasetError: They cannot be read, are inconsistent, or do not fit the video; names the line.
    """
    try:
        document = read_yaml(path, _MAX_BYTES, _MAX_VALUES)
    except ConfigError as error:
        raise DatasetError(str(error)) from None
    with reading(str(path)):
        form = as_mapping(document, "labels")
        if form.get("format") != FORMAT:
            raise DatasetError(f"expected `format: {FORMAT}`, got {str(form.get('format'))[:80]!r}; `edge-hoi label` writes such a file")
        check_keys({str(key): value for key, value in form.items()}, _KEYS)
        if form.get("video") != video.file:
            raise DatasetError(f"it is of the video {str(form.get('video'))[:80]!r}, not {video.file}; name its video")
        verbs = None if form.get("verbs") is None else as_list(form["verbs"], "verbs")
        boxes, episodes = as_mapping(form.get("boxes") or {}, "boxes"), as_list(form.get("episodes") or [], "episodes")
    rows = [each for each in episodes if isinstance(each, dict)]
    labels = _Labels(video, [*boxes, *(each.get(key) for each in rows for key in ("person", "object_id"))])
    for name, track in boxes.items():
        with reading(_Line(path, ("boxes", name))):
            labels.add_track(name, as_mapping(track, "boxes"))
    for number, episode in enumerate(episodes):
        with reading(_Line(path, ("episodes", number))):
            labels.add_episode(as_mapping(episode, "an episode"), verbs)
    with reading(str(path)):
        return Truth(video, labels.tracks(), tuple(labels.episodes), None if verbs is None else tuple(verbs))


class _Labels:
    """Collects tracks and episodes, each checked on its own, so that an error has a line."""

    def __init__(self, video: TruthVideo, named: Iterable[object]) -> None:
        self.episodes: list[TruthEpisode] = []
        self._video = video
        known = {each for each in named if isinstance(each, int)}
        self._free = (each for each in count(1) if each not in known)
        self._categories: dict[int, str] = {}
        self._boxes: dict[int, dict[int, list[float]]] = {}
        self._count = 0

    def add_track(self, name: object, form: Mapping[str, Any]) -> None:
        """Add the boxes of a person or an object."""
        check_keys(form, ("category", "at"))
        self._of(name, form["category"])
        for span in as_list(form["at"], "spans of time"):
            rows = [as_list(row, "[seconds, left, top, right, bottom]") for row in as_list(span, "boxes")]
            self._see(self._id(name), {self._frame(self._seconds(row[0])): row[1:] for row in rows})

    def add_episode(self, form: Mapping[str, Any], verbs: list[str] | None) -> None:
        """Add an episode."""
        check_keys(form, _EPISODE_KEYS)
        start, end, category = self._seconds(form["start"]), self._seconds(form["end"]), form.get("object")
        human = self._of(form.get("person"), HUMAN_CATEGORY)
        other = None if category is None else self._of(form.get("object_id"), category)
        if category is None and ("object_id" in form or "object_box" in form):
            raise DatasetError("expected `object` with object_id and object_box: its category")
        difficulties = tuple(as_list(form.get("difficulties", []), "difficulties"))
        episode = TruthEpisode(human, other, form["verb"], category, start, end, difficulties)
        if verbs is not None and episode.verb not in verbs:
            raise DatasetError(f"expected a verb of `verbs`, got {episode.verb}; add it there")
        for name, box in ((human, form.get("person_box")), (other, form.get("object_box"))):
            if name is not None and box is not None:
                self._see(name, dict.fromkeys((self._frame(start), self._frame(end)), box))
        self.episodes.append(episode)

    def tracks(self) -> dict[int, TruthTrack]:
        """Return the tracks that have boxes, or take part in an episode."""
        return {
            name: TruthTrack(category, *fill(boxes, list(boxes)))
            for name, category in sorted(self._categories.items())
            for boxes in [self._boxes.get(name, {})]
        }

    def _of(self, name: object, category: object) -> int:
        """Return the id of a person or an object, a new one for None."""
        if not isinstance(category, str):
            raise DatasetError(f"expected a category as text, got {str(category)[:80]}; put it in quotes")
        track = next(self._free) if name is None else self._id(name)
        known = self._categories.setdefault(track, category)
        if known != category:
            raise DatasetError(f"{track} is a {known} elsewhere, here a {category}; give one of them another number")
        return track

    def _id(self, name: object) -> int:
        if not isinstance(name, int) or isinstance(name, bool) or not 1 <= name <= MAX_TRACK_ID:
            raise DatasetError(f"expected a number from 1 to {MAX_TRACK_ID}, got {str(name)[:80]}")
        return name

    def _see(self, track: int, keyframes: Mapping[int, object]) -> None:
        """Add boxes in view from the first to the last of some frames."""
        if keyframes:
            boxes = dict(zip(keyframes, as_boxes(list(keyframes.values())).tolist(), strict=True))
            known, span = self._boxes.setdefault(track, {}), range(min(boxes), max(boxes) + 1)
            self._count = check_boxes(self._count + sum(frame not in known for frame in span))
            frames, filled = fill(boxes, span)
            TruthTrack(self._categories[track], frames, filled)  # checks the corners
            known.update(zip(frames.tolist(), filled.tolist(), strict=True))

    def _seconds(self, time: object) -> float:
        """Return the seconds of a time as YAML gives it."""
        last = self._video.duration_seconds
        clock = _CLOCK.fullmatch(time) if isinstance(time, str) else None
        seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else time
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= last + 1 / self._video.fps:
            raise DatasetError(f"expected seconds from 0 to the video's {last:g}, or 1:23.5, got {str(time)[:80]}")
        return float(seconds)

    def _frame(self, seconds: float) -> int:
        return min(self._video.frames - 1, round(seconds * self._video.fps))


def _keyframes(track: TruthTrack, video: TruthVideo) -> Iterator[list[list[float]]]:
    for span in visible_spans(track.frames):
        frames, boxes = track.frames[span], track.boxes[span]
        yield [
            [round(float(frames[index]) / video.fps, _SECONDS_DIGITS), *(round(float(edge), 1) for edge in boxes[index])]
            for index in thin(frames, boxes, _TOLERANCE_PIXELS)
        ]


def _flow(value: object) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 30)).strip()


def _pairs(form: dict[str, Any]) -> Iterator[str]:
    yield from (f"{name}: {_flow([value])[1:-1]}\n" for name, value in form.items())


class _Line(NamedTuple):
    """The line of a value, found when it is shown."""

    path: Path
    location: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.path}, line {line_of(self.path, _MAX_BYTES, self.location)}"
