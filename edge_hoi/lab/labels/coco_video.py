"""Labels as COCO JSON with videos and tracks, in the form of TAO (Dave et al. 2020, https://taodataset.org), with a list `interactions`.

An interaction has the track ids of its `human` and `object`, and the fields of an episode of a ground truth.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, as_index, as_list, as_mapping, read_json, reading, write_file
from edge_hoi.lab.datasets.truth import MAX_TRACK_ID, Truth, TruthEpisode, TruthTrack, TruthVideo

_DIGITS = 2


def write_coco_video(truth: Truth, path: Path) -> None:
    """Write labels as COCO JSON; boxes to a hundredth of a pixel.

    Raises:
        DatasetError: The file cannot be written.
    """
    video = truth.video
    categories = {name: number for number, name in enumerate(sorted({each.category for each in truth.tracks.values()}), start=1)}
    size = {"width": video.width, "height": video.height}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for frame in sorted({frame for track in truth.tracks.values() for frame in track.frames.tolist()}):
        file_name = f"{Path(video.file).stem}/{frame:06}.jpg"
        images.append({"id": frame + 1, "video_id": 1, "video": video.file, "frame_index": frame, "file_name": file_name, **size})
    for name, track in sorted(truth.tracks.items()):
        for frame, box in zip(track.frames.tolist(), track.boxes.astype(np.float64).round(_DIGITS).tolist(), strict=True):
            left, top, right, bottom = box
            width, height = round(right - left, _DIGITS), round(bottom - top, _DIGITS)
            about = {"id": len(annotations) + 1, "image_id": frame + 1, "video_id": 1, "track_id": name}
            shape = {"bbox": [left, top, width, height], "area": round(width * height, _DIGITS), "iscrowd": 0}
            annotations.append({**about, "category_id": categories[track.category], **shape})
    document = {
        "videos": [{"id": 1, "name": video.file, **size, "fps": video.fps, "frames": video.frames, "seconds": video.duration_seconds}],
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
        "images": images,
        "tracks": [{"id": name, "video_id": 1, "category_id": categories[each.category]} for name, each in sorted(truth.tracks.items())],
        "annotations": annotations,
        "interactions": [{"id": number, "video_id": 1, **_interaction(each)} for number, each in enumerate(truth.episodes, start=1)],
        "annotated_verbs": None if truth.verbs is None else list(truth.verbs),
    }
    write_file(path, json.dumps(document, allow_nan=False) + "\n")


def read_coco_video(path: Path, video: TruthVideo) -> Truth:
    """Read labels of a video from COCO JSON with videos and tracks.

    Frames are counted by `frame_index` of the images, or `frame_id`; tracks by `track_id` of the annotations, or `instance_id`.

    Raises:
        DatasetError: They cannot be read, are inconsistent, or do not fit the video; names the entry.
    """
    document = read_json(path)
    with reading(str(path)):
        form = as_mapping(document, "COCO")
        videos = {each["id"]: str(each.get("name", each.get("file_name"))) for each in as_list(form["videos"], "videos")}
        chosen = [name for name, file in videos.items() if Path(file).stem == Path(video.file).stem]
        if len(chosen) != 1:
            raise DatasetError(f"expected the video {video.file} once, it has {', '.join(videos.values())[:200] or 'none'}")
        categories = {each["id"]: each["name"] for each in as_list(form["categories"], "categories")}
        frames = {each["id"]: each.get("frame_index", each.get("frame_id")) for each in form["images"] if each.get("video_id") == chosen[0]}
        kinds = {each["id"]: categories[each["category_id"]] for each in form.get("tracks", ()) if each.get("video_id") == chosen[0]}
        annotations = as_list(form["annotations"], "annotations")
        interactions = as_list(form.get("interactions", []), "interactions")
    boxes: dict[int, dict[int, list[float]]] = {name: {} for name in kinds}
    for number, annotation in enumerate(annotations, start=1):
        with reading(f"{path}, annotation {number}"):
            if annotation["image_id"] not in frames:
                continue
            name = annotation.get("track_id", annotation.get("instance_id"))
            frame = as_index(frames[annotation["image_id"]], video.frames, "a frame")
            category = categories[annotation["category_id"]]
            if kinds.setdefault(name, category) != category:
                raise DatasetError(f"track {name} is a {kinds[name]}, this is a {category}")
            if frame in boxes.setdefault(name, {}):
                raise DatasetError(f"track {name} has two boxes in frame {frame}; remove one")
            left, top, width, height = as_list(annotation["bbox"], "[left, top, width, height]")
            boxes[name][frame] = [left, top, round(left + width, _DIGITS), round(top + height, _DIGITS)]
    tracks = {}
    for name, of_track in boxes.items():
        with reading(f"{path}, track {str(name)[:20]}"):
            ordered = sorted(of_track)
            frame_array = np.array(ordered, np.int64)
            tracks[as_index(name, MAX_TRACK_ID + 1, "an id")] = TruthTrack(
                kinds[name], frame_array, as_boxes([of_track[frame] for frame in ordered])
            )
    episodes = []
    for number, each in enumerate(interactions, start=1):
        with reading(f"{path}, interaction {number}"):
            if each["video_id"] == chosen[0]:
                values = {name: each[name] for name in ("human", "object", "verb", "object_name", "start", "end")}
                episodes.append(TruthEpisode(**values, difficulties=tuple(as_list(each.get("difficulties", []), "difficulties"))))
    with reading(str(path)):
        verbs = form.get("annotated_verbs")
        return Truth(video, tracks, tuple(episodes), None if verbs is None else tuple(as_list(verbs, "annotated_verbs")))


def _interaction(episode: TruthEpisode) -> Mapping[str, Any]:
    return {
        "human": episode.human,
        "object": episode.object,
        "verb": episode.verb,
        "object_name": episode.object_name,
        "start": episode.start,
        "end": episode.end,
        "difficulties": list(episode.difficulties),
    }
