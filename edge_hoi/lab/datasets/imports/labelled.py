"""Images as a labelling tool exports them: boxes with labels and attributes, and relations between boxes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_hoi.errors import DatasetError
from edge_hoi.lab.datasets.files import as_boxes, reading

VERB_ATTRIBUTES = ("interaction", "interactions", "verb", "verbs", "action", "actions")
"""Attributes whose value is a verb or several, separated by commas."""

_NO_VERB = {"", "none", "no", "false", "null", "n/a", "-", "__undefined__"}
_PERSON = "person"


@dataclass(frozen=True)
class Region:
    """A labelled box.

    Attributes:
        key: Names it within its image.
        label: Its category.
        box: `[left, top, right, bottom]` in pixels.
        attributes: By name, in lower case.
        group: Name of its group, if the tool has groups.
    """

    key: str
    label: str
    box: list[float]
    attributes: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None

    @property
    def verbs(self) -> list[str]:
        """The verbs of its attributes."""
        texts = [self.attributes[name] for name in VERB_ATTRIBUTES if name in self.attributes]
        verbs = [" ".join(verb.split()) for text in texts for verb in text.replace(";", ",").split(",")]
        return [verb for verb in verbs if verb.lower() not in _NO_VERB]


@dataclass(frozen=True)
class Relation:
    """What relates two boxes, or one to nothing visible.

    Attributes:
        subject: Key of a region.
        object: Key of another; None where nothing is visible.
        verbs: At least one.
    """

    subject: str
    object: str | None
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class LabelledImage:
    """An image of an export.

    Attributes:
        name: As in the export.
        where: Its place there, for messages.
        size: Width and height in pixels when it was labelled; None if the export has none.
        regions: Its boxes.
        relations: Between them.
    """

    name: str
    where: str
    size: tuple[int, int] | None
    regions: tuple[Region, ...]
    relations: tuple[Relation, ...] = ()


@dataclass(frozen=True)
class Export:
    """What an export contains.

    Attributes:
        images: The images.
        roots: Folders that may hold them, the likeliest first.
        skipped: What was left out, with counts: "crowd", "polygon".
    """

    images: list[LabelledImage]
    roots: tuple[Path, ...]
    skipped: Counter[str] = field(default_factory=Counter)


def xyxy(left: Any, top: Any, width: Any, height: Any) -> list[float]:  # noqa: ANN401 -- of untrusted files
    """Return a box as its corners.

    Raises:
        DatasetError: A value is not a number.
    """
    (box,) = as_boxes([[left, top, width, height]])  # checks the numbers
    return [round(float(value), 2) for value in (box[0], box[1], box[0] + box[2], box[1] + box[3])]


def interactions(image: LabelledImage, people: frozenset[str], skipped: Counter[str]) -> list[dict[str, Any]]:
    """Derive an image's interactions from relations and attributes, as entries of `annotations.json`.

    Args:
        image: The image.
        people: Labels of people, in lower case.
        skipped: Counts what is left out; changed in place.

    Raises:
        DatasetError: It is not clear who does something, or with what.
    """
    with reading(image.where):
        pairs = _Pairs(image, people).find(skipped)
        unique = {(human.key, other and other.key, verb): (human, other, verb) for human, other, verb in pairs}
        return [_entry(*pair, people) for pair in unique.values()]


Pair = tuple[Region, Region | None, str]


class _Pairs:
    """Finds who does what with what in one image."""

    def __init__(self, image: LabelledImage, people: frozenset[str]) -> None:
        self._image = image
        self._people = [region for region in image.regions if region.label.lower() in people]
        self._by_key = {region.key: region for region in image.regions}
        if len(self._by_key) < len(image.regions):
            raise DatasetError("two boxes have the same id; give each its own")

    def find(self, skipped: Counter[str]) -> Iterator[Pair]:
        for relation in self._image.relations:
            subject, other = self._region(relation.subject), None if relation.object is None else self._region(relation.object)
            if subject not in self._people and other in self._people:  # drawn from the object to the person
                subject, other = other, subject
            if subject not in self._people:
                skipped["relation without a person"] += 1
                continue
            for verb in relation.verbs:
                yield subject, other, verb
        for region in self._image.regions:
            for verb in region.verbs:
                yield from self._of_attribute(region, verb)

    def _of_attribute(self, region: Region, verb: str) -> Iterator[Pair]:
        named = next((region.attributes[name] for name in ("human", "person", "subject") if region.attributes.get(name)), None)
        if region not in self._people or named is not None:
            yield self._human_of(region, named), region, verb
            return
        named = region.attributes.get("object")
        others: list[Region | None] = [self._region(named)] if named else [*self._objects_in_group(region)]
        yield from ((region, other, verb) for other in others or [None])

    def _objects_in_group(self, region: Region) -> list[Region]:
        """Find the objects in a person's group whose own attributes do not say more."""
        group = [other for other in self._image.regions if region.group is not None and other.group == region.group]
        return [other for other in group if other not in self._people and not other.verbs]

    def _human_of(self, region: Region, named: str | None) -> Region:
        if named is not None:
            return self._region(named)
        grouped = [human for human in self._people if region.group is not None and human.group == region.group]
        found = grouped or self._people
        if len(found) != 1:
            where = "in its group" if grouped else "in the image"
            raise DatasetError(
                f"box {region.key} ({region.label}) has a verb, and there are {len(found)} people {where}; group it with its person, "
                "relate them, or name the person's box by an attribute `human`"
            )
        return found[0]

    def _region(self, key: str) -> Region:
        if key not in self._by_key:
            raise DatasetError(
                f"expected the id of a box, got {key[:80]!r}; boxes of other shapes than upright rectangles are not imported"
            )
        return self._by_key[key]


def _entry(human: Region, other: Region | None, verb: str, people: frozenset[str]) -> dict[str, Any]:
    boxes = {"human": human.box, "object": None if other is None else other.box}
    if verb.lower().startswith(f"{_PERSON} "):
        return boxes | {"text": verb}
    if other is None:
        return boxes | {"text": f"{_PERSON} {verb}"}
    return boxes | {"verb": verb, "object_name": _PERSON if other.label.lower() in people else other.label}
