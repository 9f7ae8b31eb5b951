"""Labels in the form "CVAT for video 1.1" of the annotation tool CVAT (https://docs.cvat.ai/docs/manual/advanced/xml_format/).

People and objects are tracks labelled with their category, with the attribute `id`. An episode is a track labelled `interaction`, in
view from its start to its end, with the attributes `verb`, `human` and `object` (ids), `object_name` and `difficulties`; its box has no
meaning. CVAT numbers tracks anew, so that their own ids have none either.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, as_index, read_content, reading, write_file
from edge_hoi.lab.datasets.truth import MAX_TRACK_ID, Truth, TruthEpisode, TruthTrack, TruthVideo
from edge_hoi.lab.labels.keyframes import fill, frames_in, visible_spans
from edge_hoi.types import HUMAN_CATEGORY

INTERACTION = "interaction"
_MAX_ELEMENTS = 4_000_000
_SECONDS_DIGITS = 6
_ATTRIBUTES = ("verb", "human", "object", "object_name", "difficulties")


class _Shown(NamedTuple):
    """A track of CVAT: the spans of frames in which it is in view, end excluded, its boxes by frame, and its attributes."""

    spans: list[tuple[int, int]]
    boxes: dict[int, list[float]]
    attributes: dict[str, str]


def write_cvat(truth: Truth, path: Path) -> None:
    """Write labels for CVAT. Episodes begin and end with a frame there.

    Raises:
        DatasetError: The file cannot be written, or a name cannot stand in it.
    """
    _check_names(truth)
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    root.append(_meta(truth))
    for number, shown in enumerate(_tracks(truth)):
        label, attributes, boxes = shown
        track = SubElement(root, "track", {"id": str(number), "label": label, "source": "manual"})
        for frame, is_outside, edges in boxes:
            place = {name: f"{edge:.2f}" for name, edge in zip(("xtl", "ytl", "xbr", "ybr"), edges, strict=True)}
            about = {"frame": str(frame), "keyframe": "1", "outside": str(int(is_outside)), "occluded": "0"}
            box = SubElement(track, "box", about | place | {"z_order": "0"})
            for name, value in attributes.items():
                SubElement(box, "attribute", {"name": name}).text = value
    ElementTree.indent(root)
    write_file(path, f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, "unicode")}\n')


def read_cvat(path: Path, video: TruthVideo) -> Truth:
    """Read labels that CVAT exported as "CVAT for video 1.1" (`annotations.xml`).

    Boxes between those that the file has are interpolated; a track stays in view until it is outside, or the video ends, as in CVAT.

    Raises:
        DatasetError: They cannot be read, are inconsistent, or do not fit the video; names the track.
    """
    root = _parse(path)
    tracks: dict[int, TruthTrack] = {}
    episodes: list[TruthEpisode] = []
    known = 0
    found = [(each, _name(each, number)) for number, each in enumerate(root.iter("track"))]
    for track, name in found:
        with reading(f"{path}, {name}"):
            if track.get("label") != INTERACTION:
                number, read = _read_track(track, video, known)
                if number in tracks:
                    raise DatasetError(f"its `id` {number} is that of another track; give each a number of its own")
                tracks[number] = read
                known += len(read.frames)
    for track, name in found:
        with reading(f"{path}, {name}"):
            if track.get("label") == INTERACTION:
                episodes += _read_episodes(track, tracks, video)
    with reading(str(path)):
        return Truth(video, tracks, tuple(sorted(episodes, key=_order)), _annotated_verbs(root))


def _order(episode: TruthEpisode) -> tuple[float, float, int, str]:
    return episode.start, episode.end, episode.human, episode.verb


def _check_names(truth: Truth) -> None:
    """Refuse names that CVAT, or the reading of its attributes, would change."""
    categories = {each.category for each in truth.tracks.values()}
    difficulties = {name for each in truth.episodes for name in each.difficulties}
    if INTERACTION in categories:
        raise DatasetError(f"the category {INTERACTION!r} is the label of episodes in CVAT; use another form")
    for name in sorted({*categories, *difficulties, *(truth.verbs or ()), *(each.verb for each in truth.episodes)}):
        if name != name.strip() or (name in difficulties and "," in name):
            raise DatasetError(f"expected names without outer spaces, and difficulties without commas, got {name[:80]!r}; use another form")


def _meta(truth: Truth) -> Element:
    """Describe the task and its labels, which is what CVAT asks for when a task is created."""
    video, meta = truth.video, Element("meta")
    task = SubElement(meta, "task")
    values = {
        "name": video.file,
        "size": video.frames,
        "mode": "interpolation",
        "overlap": 0,
        "start_frame": 0,
        "stop_frame": video.frames - 1,
    }
    for name, value in values.items():
        SubElement(task, name).text = str(value)
    labels = SubElement(task, "labels")
    categories = dict.fromkeys([HUMAN_CATEGORY, *sorted({each.category for each in truth.tracks.values()})])
    for category in categories:
        _add_label(labels, category, {"id": ("number", ["1", str(MAX_TRACK_ID), "1"])})
    verbs = truth.verbs or ()
    number = ("number", ["0", str(MAX_TRACK_ID), "1"])
    free = ("text", [""])
    kinds = {
        "verb": ("select", list(verbs)) if verbs else free,
        "human": number,
        "object": number,
        "object_name": free,
        "difficulties": free,
    }
    _add_label(labels, INTERACTION, kinds)
    size = SubElement(task, "original_size")
    SubElement(size, "width").text, SubElement(size, "height").text = str(video.width), str(video.height)
    SubElement(meta, "source").text = video.file
    return meta


def _add_label(labels: Element, name: str, attributes: Mapping[str, tuple[str, list[str]]]) -> None:
    label = SubElement(labels, "label")
    SubElement(label, "name").text = name
    SubElement(label, "type").text = "rectangle"
    parent = SubElement(label, "attributes")
    for attribute, (kind, values) in attributes.items():
        entry = SubElement(parent, "attribute")
        for tag, text in (("name", attribute), ("mutable", "False"), ("input_type", kind), ("default_value", values[0])):
            SubElement(entry, tag).text = text
        SubElement(entry, "values").text = "\n".join(values)


def _tracks(truth: Truth) -> Iterator[tuple[str, dict[str, str], Iterable[tuple[int, bool, list[float]]]]]:
    """Yield label, attributes and boxes of each track of CVAT."""
    for name, track in sorted(truth.tracks.items()):
        if len(track.frames):
            yield track.category, {"id": str(name)}, _visible_boxes(track, truth.video)
    for episode in truth.episodes:
        values = (episode.verb, str(episode.human), str(episode.object or 0), episode.object_name or "", ",".join(episode.difficulties))
        yield INTERACTION, dict(zip(_ATTRIBUTES, values, strict=True)), _episode_boxes(truth, episode)


def _visible_boxes(track: TruthTrack, video: TruthVideo) -> Iterator[tuple[int, bool, list[float]]]:
    for span in visible_spans(track.frames):
        frames, boxes = track.frames[span].tolist(), track.boxes[span].tolist()
        yield from ((frame, False, box) for frame, box in zip(frames, boxes, strict=True))
        if frames[-1] + 1 < video.frames:
            yield frames[-1] + 1, True, boxes[-1]


def _episode_boxes(truth: Truth, episode: TruthEpisode) -> Iterator[tuple[int, bool, list[float]]]:
    """Yield a box around both at the start, once a second, and at the end."""
    video = truth.video
    first = min(video.frames - 1, round(episode.start * video.fps))
    end = min(video.frames, max(first + 1, round(episode.end * video.fps)))
    box = [0.0, 0.0, float(video.width), float(video.height)]
    for frame in range(first, end, max(1, round(video.fps))):
        box = _around(truth, episode, frame) or box
        yield frame, False, box
    if end < video.frames:
        yield end, True, box


def _around(truth: Truth, episode: TruthEpisode, frame: int) -> list[float] | None:
    boxes = []
    for name in (episode.human, episode.object):
        if name is not None:
            track = truth.tracks[name]
            boxes += track.boxes[track.frames == frame].tolist()
    return [*np.min(boxes, axis=0)[:2].tolist(), *np.max(boxes, axis=0)[2:].tolist()] if boxes else None


def _parse(path: Path) -> Element:
    """Parse XML without entities, whose expansion has no bounds."""
    content = read_content(path)
    if content.startswith(b"PK"):
        raise DatasetError(f"{path}: it is a ZIP file; unpack annotations.xml, and name that")
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DatasetError(f"{path}: it defines a document type or entities, which CVAT does not; export it from CVAT again")
        if text.count("<") > _MAX_ELEMENTS:
            raise DatasetError(f"{path}: it has more than {_MAX_ELEMENTS} tags; export a shorter task")
        root = ElementTree.fromstring(text)  # noqa: S314 -- without entities, and bounded
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError) as error:
        raise DatasetError(f"{path}: not XML in UTF-8 ({error}); export the task as `CVAT for video 1.1`") from error
    if root.tag != "annotations" or root.find("image") is not None:
        raise DatasetError(f"{path}: not of the form `CVAT for video 1.1`; choose that one when exporting")
    return root


def _name(track: Element, number: int) -> str:
    return f"track {str(track.get('id', number))[:20]} ({str(track.get('label'))[:40]})"


def _read_track(track: Element, video: TruthVideo, known: int) -> tuple[int, TruthTrack]:
    shown = _shown(track, video)
    return _number(shown.attributes, "id"), TruthTrack(track.attrib["label"], *fill(shown.boxes, frames_in(shown.spans, known)))


def _read_episodes(track: Element, tracks: dict[int, TruthTrack], video: TruthVideo) -> Iterator[TruthEpisode]:
    """Yield an episode for each time in view."""
    shown = _shown(track, video)
    human, other = _number(shown.attributes, "human"), _number(shown.attributes, "object", least=0) or None
    category = shown.attributes.get("object_name") or (tracks[other].category if other in tracks else None)
    for name, what in ((human, HUMAN_CATEGORY), (other, category)):
        if name is not None and what is not None:  # one whose box nobody has drawn
            tracks.setdefault(name, TruthTrack(what, *fill({}, [])))
    difficulties = tuple(each.strip() for each in shown.attributes.get("difficulties", "").split(",") if each.strip())
    for begin, end in shown.spans:
        start, stop = round(begin / video.fps, _SECONDS_DIGITS), round(end / video.fps, _SECONDS_DIGITS)
        if end == video.frames:
            stop = max(stop, video.duration_seconds) if abs(stop - video.duration_seconds) <= 1 / video.fps else stop
        yield TruthEpisode(human, other, shown.attributes["verb"], category, start, stop, difficulties)


def _number(attributes: Mapping[str, str], name: str, *, least: int = 1) -> int:
    text = attributes.get(name, "")
    if not text.isascii() or not text.isdecimal() or not least <= int(text[:10]) <= MAX_TRACK_ID:
        raise DatasetError(f"expected its attribute `{name}` as a number from {least} on, got {text[:40]!r}; set it in CVAT")
    return int(text)


def _shown(track: Element, video: TruthVideo) -> _Shown:
    boxes: dict[int, list[float]] = {}
    outside: set[int] = set()
    attributes: dict[str, str] = {}
    for box in track:
        if box.tag != "box" or float(box.get("rotation", "0")):
            raise DatasetError(
                f"expected upright rectangles, got a {box.tag}{' that is rotated' if box.tag == 'box' else ''}; draw it as one"
            )
        frame = as_index(int(box.attrib["frame"]), video.frames, "a frame")
        if frame in boxes or frame in outside:
            raise DatasetError(f"frame {frame} has two boxes; remove one")
        if box.get("outside") == "1":
            outside.add(frame)
            continue
        boxes[frame] = as_boxes([[float(box.attrib[edge]) for edge in ("xtl", "ytl", "xbr", "ybr")]])[0].tolist()
        for attribute in box.iter("attribute"):
            attributes.setdefault(attribute.attrib["name"], (attribute.text or "").strip())
    spans: list[tuple[int, int]] = []
    begin = None
    for frame in sorted(boxes.keys() | outside):
        if frame in boxes and begin is None:
            begin = frame
        elif frame in outside and begin is not None:
            spans.append((begin, frame))
            begin = None
    return _Shown([*spans, *([] if begin is None else [(begin, video.frames)])], boxes, attributes)


def _annotated_verbs(root: Element) -> tuple[str, ...] | None:
    """Return the verbs that could be chosen; None where any could be typed."""
    for label in root.iter("label"):
        if label.findtext("name") == INTERACTION:
            for attribute in label.iter("attribute"):
                if attribute.findtext("name") == "verb" and attribute.findtext("input_type") == "select":
                    return tuple(each for each in (attribute.findtext("values") or "").split("\n") if each)
    return None
