"""Draw interactions: people, objects, links between them, and labels.

People have a full box in a colour of their own, their objects four corners in the same. One label per person lists the person's
interactions. Where the open episodes are known, the other interactions are candidates, which are grey.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import pairwise_iou
from edge_hoi.errors import ConfigError
from edge_hoi.media.canvas import GREY, Area, Canvas, Colour, colour_of
from edge_hoi.media.labels import Label, Row, draw_label
from edge_hoi.media.strip import EpisodeLine, draw_strip
from edge_hoi.types import HUMAN_CATEGORY, NO_OBJECT, NO_TRACK, Boxes, Frame, Ids, Image, Interactions, TrackedInteractions

_SAME_OBJECT_IOU = 0.6
"""Boxes of one category with at least this IoU are drawn as one, where there are no tracks."""


@dataclass(frozen=True, slots=True)
class AnnotateSettings:
    """What is drawn.

    Attributes:
        min_score: Least score of an interaction.
        max_pairs: Most pairs of person and object, the best ones.
        max_verbs: Most verbs of one pair, the best ones.
        strip_rows: Rows of the strip of episodes; 0 for none.
    """

    min_score: float = 0.2
    max_pairs: int = 8
    max_verbs: int = 3
    strip_rows: int = 3


_DEFAULTS = AnnotateSettings()


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Boxes and pairs by the keys of people and objects: the track id, or a running number where there are no tracks."""

    boxes: dict[int, Boxes]
    pairs: dict[tuple[int, int], list[Row]]
    has_ids: bool
    colours: Mapping[int, Colour]

    def name(self, key: int) -> str:
        return f"#{key}" if self.has_ids else ""

    def colour(self, key: int) -> Colour:
        """Return the colour of a person."""
        return self.colours.get(key) or colour_of(key)

    def object_colour(self, key: int) -> Colour:
        """Return the colour of the person who has an open episode with an object; grey if nobody has."""
        people = (human for (human, object_key), rows in self.pairs.items() if object_key == key and any(row.is_open for row in rows))
        return next(map(self.colour, people), GREY)


def annotate(
    image: Frame | Image,
    interactions: Interactions,
    episodes: Sequence[EpisodeLine] | None = None,
    settings: AnnotateSettings = _DEFAULTS,
    *,
    colours: Mapping[int, Colour] | None = None,
) -> Image:
    """Draw the interactions of an image on a copy of it.

    Args:
        image: A frame, or `(H, W, 3)` uint8 RGB; it is not modified.
        interactions: Those of that image; drawn with track ids if they are `TrackedInteractions`.
        episodes: Lines for a strip of open episodes below the image, most important first; None for no strip, and no candidates.
        settings: What is drawn.
        colours: Of people by their tracks; of others, one that depends on the track's id.

    Returns:
        `(H + strip, W, 3)` uint8 RGB; the strip's height depends on the image's size and the settings only.

    Raises:
        ConfigError: It is not an image, or not its interactions.
    """
    pixels = image.image if isinstance(image, Frame) else image
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        form = f"{pixels.shape} {pixels.dtype}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ConfigError(f"annotate draws on a frame or on (H, W, 3) uint8 RGB, got {form}")
    if not isinstance(interactions, Interactions):
        raise ConfigError(f"annotate draws `Interactions`, as a detector returns them, got {type(interactions).__name__}")
    if isinstance(interactions, TrackedInteractions):
        human_keys, object_keys = interactions.human_ids, interactions.object_ids
    else:
        interactions = interactions.select(interactions.scores >= settings.min_score)
        human_keys, object_keys = _number_objects(interactions)
    boxes = _boxes_by_key(interactions, human_keys, object_keys)
    if isinstance(interactions, TrackedInteractions):  # the tracker's boxes are smoother than the detector's
        boxes |= {key: interactions.tracks[key].box for key in boxes if key in interactions.tracks}
    known = None if episodes is None else {(line.track_id, line.object_id, line.interaction) for line in episodes if line.is_open}
    pairs = _choose_pairs(interactions, human_keys, object_keys, known, settings)
    shapes = _Shapes(boxes, pairs, has_ids=isinstance(interactions, TrackedInteractions), colours=colours or {})
    canvas = _draw(pixels, shapes)
    if episodes is None or not settings.strip_rows:
        return canvas.image
    return np.concatenate([canvas.image, draw_strip(canvas, episodes, settings.strip_rows, shapes.colour)])


def _choose_pairs(
    interactions: Interactions,
    human_keys: Ids,
    object_keys: Ids,
    known: set[tuple[int, int, str]] | None,
    settings: AnnotateSettings,
) -> dict[tuple[int, int], list[Row]]:
    """Collect the best verbs of the best pairs, by the keys of person and object; those of the known open episodes first."""
    rows: list[tuple[tuple[int, int], Row]] = []
    for index in np.argsort(-interactions.scores, kind="stable").tolist():
        interaction = interactions[index]
        if interaction.score < settings.min_score:
            break
        if interaction.is_interaction:
            key = int(human_keys[index]), int(object_keys[index])
            is_open = known is None or (*key, interaction.text) in known
            rows.append((key, Row(interaction.text.removeprefix(f"{HUMAN_CATEGORY} "), interaction.score, is_open)))
    pairs: dict[tuple[int, int], list[Row]] = {}
    for key, row in sorted(rows, key=lambda each: not each[1].is_open):
        if key not in pairs and len(pairs) == settings.max_pairs:
            continue
        verbs = pairs.setdefault(key, [])
        if len(verbs) < settings.max_verbs and row.text not in (verb.text for verb in verbs):
            verbs.append(row)
    return pairs


def _boxes_by_key(interactions: Interactions, human_keys: Ids, object_keys: Ids) -> dict[int, Boxes]:
    """Collect the box of each person and object from its best interaction."""
    boxes: dict[int, Boxes] = {}
    for keys, rows in ((human_keys, interactions.human_boxes), (object_keys, interactions.object_boxes)):
        for key, box in zip(keys.tolist(), rows, strict=True):
            boxes.setdefault(key, box)
    boxes.pop(NO_TRACK, None)
    return boxes


def _number_objects(interactions: Interactions) -> tuple[Ids, Ids]:
    """Group boxes of the same person or object, and number the groups from 0: `(N,)` for people and for objects."""
    count = len(interactions)
    names = interactions.vocabulary.objects
    human_id = names.index(HUMAN_CATEGORY) if HUMAN_CATEGORY in names else len(names)
    categories = np.concatenate([np.full(count, human_id), interactions.object_category_ids])
    boxes = np.concatenate([interactions.human_boxes, interactions.object_boxes])
    is_same: NDArray[np.bool_] = (pairwise_iou(boxes, boxes) >= _SAME_OBJECT_IOU) & (categories[:, None] == categories)
    keys = np.full(2 * count, NO_TRACK, np.int64)
    for index in range(2 * count):
        if keys[index] == NO_TRACK and categories[index] != NO_OBJECT:
            keys[is_same[index] & (keys == NO_TRACK)] = keys[index] = keys.max(initial=NO_TRACK) + 1
    return keys[:count], keys[count:]


def _draw(image: Image, shapes: _Shapes) -> Canvas:
    """Draw objects, people and links on a copy, and the labels on top of them, in the order of their keys."""
    canvas = Canvas(image.copy(), reference=min(image.shape[:2]))
    humans = {human for human, _ in shapes.pairs}
    objects = {object_key for _, object_key in shapes.pairs if object_key != NO_TRACK} - humans
    for key in sorted(objects):
        canvas.brackets(shapes.boxes[key], shapes.object_colour(key))
    for key in sorted(humans):
        canvas.box(shapes.boxes[key], shapes.colour(key))
    for human, object_key in sorted(shapes.pairs):
        if object_key != NO_TRACK:
            is_open = any(row.is_open for row in shapes.pairs[human, object_key])
            canvas.link(shapes.boxes[human], shapes.boxes[object_key], shapes.colour(human) if is_open else GREY)
    occupied: list[Area] = []
    people = [canvas.area(shapes.boxes[key]) for key in sorted(humans)]
    for human in sorted(humans):
        rows = tuple(
            row if object_key == NO_TRACK else row._replace(text=f"{row.text} {shapes.name(object_key)}".rstrip())
            for (owner, object_key), verbs in shapes.pairs.items()
            if owner == human
            for row in verbs
        )
        draw_label(canvas, Label(shapes.name(human), rows, shapes.colour(human)), shapes.boxes[human], occupied, people)
    for key in sorted(objects) if shapes.has_ids else ():
        draw_label(canvas, Label(shapes.name(key), (), shapes.object_colour(key)), shapes.boxes[key], occupied, people)
    return canvas
