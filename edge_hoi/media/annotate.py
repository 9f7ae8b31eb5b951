"""Draw what was seen: people, the things they act upon, a link between them and what they do.

Persons have a full box, objects four corners; each has the colour of its track. All that one person does stands in one label at its box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import pairwise_iou
from edge_hoi.media.canvas import Area, Canvas, colour_of
from edge_hoi.media.labels import Label, draw_label
from edge_hoi.media.strip import EpisodeLine, draw_strip
from edge_hoi.types import HUMAN_CATEGORY, NO_OBJECT, NO_TRACK, Boxes, Frame, Ids, Image, Interactions, TrackedInteractions
from edge_hoi.vocabulary import NO_INTERACTION, Vocabulary

_SAME_THING_IOU = 0.6
"""Boxes of one category that overlap so much are drawn as one, where no tracker has told them apart."""


@dataclass(frozen=True, slots=True)
class AnnotateSettings:
    """How much is drawn.

    Attributes:
        min_score: Weaker interactions are not drawn.
        max_pairs: At most so many pairs of person and object, the best ones.
        max_verbs: At most so many verbs of one pair, the best ones.
        strip_rows: Rows of the strip of episodes; 0 for none.
    """

    min_score: float = 0.2
    max_pairs: int = 8
    max_verbs: int = 3
    strip_rows: int = 3


_DEFAULTS = AnnotateSettings()


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is drawn. Things are known by key: the track id, or a running number where there are no tracks."""

    boxes: dict[int, Boxes]
    pairs: dict[tuple[int, int], list[tuple[str, float]]]
    has_ids: bool

    def name(self, key: int) -> str:
        return f"#{key}" if self.has_ids else ""


def annotate(
    frame: Frame,
    tracked: TrackedInteractions,
    vocabulary: Vocabulary,
    open_episodes: Sequence[EpisodeLine],
    settings: AnnotateSettings = _DEFAULTS,
) -> Image:
    """Draw a frame's interactions and the running episodes on a copy of its picture.

    Args:
        frame: The frame; it is left as it is.
        tracked: What was seen in it.
        vocabulary: Names of what was seen.
        open_episodes: Lines for the strip, most important first.
        settings: How much is drawn.

    Returns:
        `(H + strip, W, 3)` uint8 RGB; the strip's height depends on the frame's size and the settings only.
    """
    pairs = _choose_pairs(tracked.interactions, tracked.human_track_ids, tracked.object_track_ids, vocabulary, settings)
    boxes = _boxes_by_key(tracked.interactions, tracked.human_track_ids, tracked.object_track_ids)
    # The tracker's boxes are smoother than the detector's.
    boxes |= {key: tracked.tracks[key].box for key in boxes if key in tracked.tracks}
    canvas = _draw(frame.image, _Scene(boxes, pairs, has_ids=True))
    if not settings.strip_rows:
        return canvas.image
    return np.concatenate([canvas.image, draw_strip(canvas, open_episodes, settings.strip_rows)])


def annotate_picture(image: Image, interactions: Interactions, vocabulary: Vocabulary, settings: AnnotateSettings = _DEFAULTS) -> Image:
    """Draw the interactions of a single picture, which has no tracks and no episodes.

    Args:
        image: `(H, W, 3)` uint8 RGB; it is left as it is.
        interactions: What was seen in it.
        vocabulary: Names of what was seen.
        settings: How much is drawn; the strip is not.

    Returns:
        `(H, W, 3)` uint8 RGB.
    """
    interactions = interactions.select(interactions.scores >= settings.min_score)
    human_keys, object_keys = _number_things(interactions, vocabulary)
    pairs = _choose_pairs(interactions, human_keys, object_keys, vocabulary, settings)
    return _draw(image, _Scene(_boxes_by_key(interactions, human_keys, object_keys), pairs, has_ids=False)).image


def _choose_pairs(
    interactions: Interactions, human_keys: Ids, object_keys: Ids, vocabulary: Vocabulary, settings: AnnotateSettings
) -> dict[tuple[int, int], list[tuple[str, float]]]:
    """Collect the best verbs of the best pairs: text and score by the keys of person and object."""
    pairs: dict[tuple[int, int], list[tuple[str, float]]] = {}
    for row in np.argsort(-interactions.scores, kind="stable").tolist():
        score, hoi = float(interactions.scores[row]), vocabulary.hois[interactions.hoi_ids[row]]
        if score < settings.min_score:
            break
        if vocabulary.verbs[hoi.verb_id] == NO_INTERACTION:
            continue
        key = int(human_keys[row]), int(object_keys[row])
        if key not in pairs and len(pairs) == settings.max_pairs:
            continue
        verbs = pairs.setdefault(key, [])
        text = hoi.text.removeprefix(f"{HUMAN_CATEGORY} ")
        if len(verbs) < settings.max_verbs and text not in (known for known, _ in verbs):
            verbs.append((text, score))
    return pairs


def _boxes_by_key(interactions: Interactions, human_keys: Ids, object_keys: Ids) -> dict[int, Boxes]:
    """Give each thing the box of its best interaction."""
    boxes: dict[int, Boxes] = {}
    for keys, rows in ((human_keys, interactions.human_boxes), (object_keys, interactions.object_boxes)):
        for key, box in zip(keys.tolist(), rows, strict=True):
            boxes.setdefault(key, box)
    boxes.pop(NO_TRACK, None)
    return boxes


def _number_things(interactions: Interactions, vocabulary: Vocabulary) -> tuple[Ids, Ids]:
    """Find which boxes show the same thing, and number the things from 0: `(N,)` for persons and for objects."""
    count = len(interactions)
    human_id = vocabulary.objects.index(HUMAN_CATEGORY) if HUMAN_CATEGORY in vocabulary.objects else len(vocabulary.objects)
    categories = np.concatenate([np.full(count, human_id), interactions.object_ids])
    boxes = np.concatenate([interactions.human_boxes, interactions.object_boxes])
    is_same: NDArray[np.bool_] = (pairwise_iou(boxes, boxes) >= _SAME_THING_IOU) & (categories[:, None] == categories)
    keys = np.full(2 * count, NO_TRACK, np.int64)
    for index in range(2 * count):
        if keys[index] == NO_TRACK and categories[index] != NO_OBJECT:
            keys[is_same[index] & (keys == NO_TRACK)] = keys[index] = keys.max(initial=NO_TRACK) + 1
    return keys[:count], keys[count:]


def _draw(image: Image, scene: _Scene) -> Canvas:
    """Draw on a copy objects, persons and links, and on top of them the labels, always in the order of their keys."""
    canvas = Canvas(image.copy(), reference=min(image.shape[:2]))
    humans = {human for human, _ in scene.pairs}
    objects = {thing for _, thing in scene.pairs if thing != NO_TRACK} - humans
    for key in sorted(objects):
        canvas.brackets(scene.boxes[key], colour_of(key))
    for key in sorted(humans):
        canvas.box(scene.boxes[key], colour_of(key))
    for human, thing in sorted(scene.pairs):
        if thing != NO_TRACK:
            canvas.link(scene.boxes[human], scene.boxes[thing], colour_of(human))
    taken: list[Area] = []
    people = [canvas.area(scene.boxes[key]) for key in sorted(humans)]
    for human in sorted(humans):
        rows = tuple(
            (text if thing == NO_TRACK else f"{text} {scene.name(thing)}".rstrip(), score)
            for (owner, thing), verbs in scene.pairs.items()
            if owner == human
            for text, score in verbs
        )
        draw_label(canvas, Label(scene.name(human), rows, colour_of(human)), scene.boxes[human], taken, people)
    for key in sorted(objects) if scene.has_ids else ():
        draw_label(canvas, Label(scene.name(key), (), colour_of(key)), scene.boxes[key], taken, people)
    return canvas
