"""Ground truth of a video, `NAME.truth.json` beside `NAME.mp4`: tracks with a box in each frame, and episodes with start and end.

docs/event-quality.md describes the format. The renderer writes it, the evaluation of events reads it; both use the checks here.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, as_file_name, as_index, as_list, as_mapping, read_json, reading, write_file
from edge_hoi.types import HUMAN_CATEGORY, Boxes, Ids

FORMAT = "edge-hoi truth 1"
SUFFIX = ".truth.json"
MAX_FRAMES = 10_000_000
"""Four days at 29 frames per second."""
MAX_TRACK_ID = 10**9 - 1
_BOX_DIGITS = 2
_SECONDS_DIGITS = 6


@dataclass(frozen=True, slots=True)
class TruthVideo:
    """The video of a ground truth.

    Attributes:
        file: Its name, in the ground truth's folder.
        fps: Nominal frames per second; a frame's time is its index over this, also after dropped frames.
        width: In pixels.
        height: In pixels.
        frames: Number of frames, dropped ones included.
        duration_seconds: Of media time.
    """

    file: str
    fps: float
    width: int
    height: int
    frames: int
    duration_seconds: float

    def __post_init__(self) -> None:
        """Check all values."""
        as_file_name(self.file)
        for name in ("fps", "duration_seconds"):
            _check_number(getattr(self, name), name, above_zero=True)
        for name in ("width", "height", "frames"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise DatasetError(f"expected {name} as an integer of at least 1, got {str(value)[:80]}")
        if self.frames > MAX_FRAMES:
            raise DatasetError(f"expected at most {MAX_FRAMES} frames, got {str(self.frames)[:80]}; cut the video")


@dataclass(frozen=True, slots=True)
class TruthTrack:
    """One human or object, in each frame where it is visible.

    Attributes:
        category: `person`, `bicycle` or another.
        frames: `(n,)` int64 indices of frames, ascending.
        boxes: `(n, 4)` float32 xyxy in pixels; may exceed the frame.
    """

    category: str
    frames: Ids
    boxes: Boxes

    def __post_init__(self) -> None:
        """Check shapes, order and corners."""
        _check_name(self.category, "a track's category")
        if self.frames.shape != (len(self.frames),) or self.boxes.shape != (len(self.frames), 4):
            raise DatasetError(f"expected a box for each frame of a track, got {self.boxes.shape} and {self.frames.shape}")
        if np.any(np.diff(self.frames) <= 0):
            raise DatasetError("expected a track's boxes in the order of their frames, each frame once; sort them")
        swapped = np.flatnonzero((self.boxes[:, 2:] <= self.boxes[:, :2]).any(axis=1))
        if len(swapped):
            box = self.boxes[swapped[0]].tolist()
            raise DatasetError(f"expected boxes [left, top, right, bottom] with left < right and top < bottom, got {box}")


@dataclass(frozen=True, slots=True)
class TruthEpisode:
    """An interaction from start to end.

    Attributes:
        human: Track of the human.
        object: Track of the object; None for an interaction without one ("person smiling").
        verb: Its name in the vocabulary (`ride`).
        object_name: The object's category; None without object.
        start: Seconds of media time.
        end: Seconds of media time.
        difficulties: `crossing`, `occlusion`, `dropout`, or other names.
    """

    human: int
    object: int | None
    verb: str
    object_name: str | None
    start: float
    end: float
    difficulties: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check names and times."""
        _check_name(self.verb, "a verb")
        for difficulty in self.difficulties:
            _check_name(difficulty, "a difficulty")
        for name in ("start", "end"):
            _check_number(getattr(self, name), name)
        if not 0 <= self.start < self.end:
            raise DatasetError(f"expected an episode to start at 0 s or later and before its end, got {self.start} and {self.end}")


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of a video.

    Attributes:
        video: The video.
        tracks: By track id, from 1.
        episodes: In any order.
        verbs: The annotated verbs; there may be unannotated episodes of others. None for all.
    """

    video: TruthVideo
    tracks: Mapping[int, TruthTrack]
    episodes: tuple[TruthEpisode, ...]
    verbs: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check that video, tracks, verbs and episodes are consistent."""
        for track_id, track in self.tracks.items():
            if not 1 <= track_id <= MAX_TRACK_ID:
                raise DatasetError(f"expected track ids from 1 to {MAX_TRACK_ID}, got {track_id}")
            if len(track.frames) and not 0 <= track.frames[0] <= track.frames[-1] < self.video.frames:
                last = self.video.frames - 1
                raise DatasetError(f"track {track_id}: expected frames from 0 to {last}, got {track.frames[0]} to {track.frames[-1]}")
        for verb in self.verbs or ():
            _check_name(verb, "a verb")
        for number, episode in enumerate(self.episodes):
            with reading(f"episode {number}"):
                self._check(episode)

    def __repr__(self) -> str:
        """Show counts, not the numbers."""
        return f"Truth({self.video.file!r}, {len(self.tracks)} tracks, {len(self.episodes)} episodes)"

    def _check(self, episode: TruthEpisode) -> None:
        for name, category, track_id in (("human", HUMAN_CATEGORY, episode.human), ("object", episode.object_name, episode.object)):
            if (category is None) != (track_id is None):
                raise DatasetError(f"expected both object and object_name or neither, got {track_id} and {category}")
            if track_id is None:
                continue
            if track_id not in self.tracks:
                raise DatasetError(f"expected {name} as the id of a track, got {track_id}; tracks: {str(sorted(self.tracks))[:80]}")
            if self.tracks[track_id].category != category:
                raise DatasetError(f"expected a {category} as {name}, track {track_id} is a {self.tracks[track_id].category}")
        if episode.end > self.video.duration_seconds + 1 / self.video.fps:
            raise DatasetError(f"expected its end within the video's {self.video.duration_seconds} s, got {episode.end}")
        if self.verbs is not None and episode.verb not in self.verbs:
            raise DatasetError(f"expected a verb of `verbs`, got {episode.verb}; add it there")


def truth_path(video: Path) -> Path:
    """Return the ground truth file of a video file."""
    return video.with_suffix(SUFFIX)


def read_truth(path: Path) -> Truth:
    """Read and check a `NAME.truth.json`.

    Raises:
        DatasetError: It cannot be read, is not of this format, or is inconsistent; the message says where.
    """
    with reading(str(path)):
        document = as_mapping(read_json(path), "the ground truth of a video")
        if document.get("format") != FORMAT:
            raise DatasetError(f"expected a file of format {FORMAT!r}, got {str(document.get('format'))[:80]!r}")
        form = as_mapping(document["video"], "the video")
        video = TruthVideo(**{field.name: form[field.name] for field in fields(TruthVideo)})
        tracks = {}
        for name, track in as_mapping(document["tracks"], "tracks").items():
            with reading(f"track {name[:80]}"):
                tracks[int(name)] = _read_track(as_mapping(track, "a track"), video.frames)
        episodes = []
        for number, episode in enumerate(as_list(document["episodes"], "episodes")):
            with reading(f"episode {number}"):
                episodes.append(_read_episode(as_mapping(episode, "an episode")))
        verbs = document.get("verbs")
        return Truth(video, tracks, tuple(episodes), None if verbs is None else tuple(as_list(verbs, "verbs")))


def write_truth(truth: Truth, path: Path) -> None:
    """Write a ground truth, byte for byte reproducible: boxes to a hundredth of a pixel, times to a millionth of a second.

    Raises:
        DatasetError: The file cannot be written.
    """
    document: dict[str, Any] = {
        "format": FORMAT,
        "video": asdict(truth.video),
        "tracks": {str(track_id): _track_form(truth.tracks[track_id]) for track_id in sorted(truth.tracks)},
        "episodes": [
            asdict(episode) | {"start": round(episode.start, _SECONDS_DIGITS), "end": round(episode.end, _SECONDS_DIGITS)}
            for episode in truth.episodes
        ],
    }
    verbs = {} if truth.verbs is None else {"verbs": list(truth.verbs)}
    write_file(path, json.dumps(document | verbs, allow_nan=False) + "\n")


def _read_track(form: Mapping[str, Any], frames: int) -> TruthTrack:
    rows = as_list(form["boxes"], "boxes")
    wrong = next((row for row in rows if not isinstance(row, list) or len(row) != 5), None)
    if wrong is not None:
        raise DatasetError(f"expected boxes as [frame, left, top, right, bottom], got {str(wrong)[:80]}")
    indices = np.array([as_index(row[0], frames, "a frame") for row in rows], np.int64)
    return TruthTrack(form["category"], indices, as_boxes([row[1:] for row in rows]))


def _read_episode(form: Mapping[str, Any]) -> TruthEpisode:
    values = {field.name: form[field.name] for field in fields(TruthEpisode)}
    return TruthEpisode(**values | {"difficulties": tuple(as_list(values["difficulties"], "difficulties"))})


def _track_form(track: TruthTrack) -> dict[str, Any]:
    boxes = track.boxes.astype(np.float64).round(_BOX_DIGITS).tolist()
    return {"category": track.category, "boxes": [[frame, *box] for frame, box in zip(track.frames.tolist(), boxes, strict=True)]}


def _check_number(value: float, what: str, *, above_zero: bool = False) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or (above_zero and value <= 0):
        raise DatasetError(f"expected {what} as a number{' above 0' if above_zero else ''}, got {str(value)[:80]}")


def _check_name(value: object, what: str) -> None:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > 200:
        raise DatasetError(f"expected {what} as its name, got {str(value)[:80]!r}")
