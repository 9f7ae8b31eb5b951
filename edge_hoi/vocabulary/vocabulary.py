"""The `Vocabulary`: numbered objects, verbs and HOI categories, and their prompts for CLIP."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_INTERACTION = "no_interaction"
"""The verb of a person and an object that do not interact; it never starts an event."""

VOCABULARY_FILE = "vocabulary.yaml"
"""Name of a custom vocabulary's file beside its checkpoint or engine."""

NOTHING_PROMPT = "a photo of nothing"
"""Prompt of the object class "nothing", the last row of every object classifier."""


@dataclass(frozen=True, slots=True)
class HoiCategory:
    """A pair of a verb and an object category.

    Attributes:
        verb_id: Index into the vocabulary's verbs.
        object_id: Index into the vocabulary's objects.
        text: "person riding bicycle".
        prompt: For CLIP: "a photo of a person riding a bicycle".
        is_rare: Whether the published training set has fewer than 10 instances of it; None where unknown.
    """

    verb_id: int
    object_id: int
    text: str
    prompt: str
    is_rare: bool | None = None


@dataclass(frozen=True)
class Vocabulary:
    """The categories that a detector finds. Ids are positions.

    Attributes:
        name: `hico_det`, `vcoco`, or that of a custom vocabulary.
        objects: Names of the K objects.
        object_prompts: K + 1 prompts: the objects', then `NOTHING_PROMPT`; one per row of an object classifier.
        verbs: Names of the V verbs.
        hois: The N HOI categories.
        no_object_id: The object id that means "no object" (V-COCO: 80, "person only"); None if every category has an object.
        coco_category_ids: COCO's category id of each of the K objects; None for objects that COCO does not have.
    """

    name: str
    objects: tuple[str, ...]
    object_prompts: tuple[str, ...]
    verbs: tuple[str, ...]
    hois: tuple[HoiCategory, ...]
    no_object_id: int | None = None
    coco_category_ids: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        """Check ids and counts."""
        if len(self.object_prompts) != len(self.objects) + 1 or len(self.coco_category_ids) != len(self.objects):
            raise ValueError(f"{len(self.objects)} objects need one prompt more and as many COCO ids")
        if any(not (0 <= hoi.verb_id < len(self.verbs) and 0 <= hoi.object_id < len(self.objects)) for hoi in self.hois):
            raise ValueError("an HOI category's verb or object id is out of range")

    def __len__(self) -> int:
        return len(self.hois)

    @cached_property
    def object_ids(self) -> NDArray[np.int64]:
        """The object id of each HOI category, `(N,)` int64."""
        return _read_only(np.array([hoi.object_id for hoi in self.hois], np.int64))

    @cached_property
    def verb_ids(self) -> NDArray[np.int64]:
        """The verb id of each HOI category, `(N,)` int64."""
        return _read_only(np.array([hoi.verb_id for hoi in self.hois], np.int64))

    @cached_property
    def verb_to_hoi(self) -> NDArray[np.float32]:
        """Which HOI categories a verb is part of, `(V, N)` float32, 0 or 1."""
        return _read_only((np.arange(len(self.verbs))[:, None] == self.verb_ids).astype(np.float32))

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of all that defines the rows of its classifiers: everything but name, texts and rarity."""
        content = {
            "objects": self.objects,
            "object_prompts": self.object_prompts,
            "verbs": self.verbs,
            "hois": [(hoi.verb_id, hoi.object_id, hoi.prompt) for hoi in self.hois],
            "no_object_id": self.no_object_id,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
