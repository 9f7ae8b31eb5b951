"""Captioned crops of images, for contrastive training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge_hoi.lab.synthetic.scenes import Box
from edge_hoi.lab.synthetic.stills import Still
from edge_hoi.types import HUMAN_CATEGORY
from edge_hoi.vocabulary import NOTHING_PROMPT
from edge_hoi.vocabulary.phrases import hoi_prompt, verb_phrase, with_article
from edge_hoi.vocabulary.vocabulary import NO_INTERACTION

_WORDS = Path(__file__).parent / "data" / "captions.yaml"
_WRITERS = 4
_LEAST_SIDE = 14
_MOST_WORDS = 21  # the small CLIP reads 32 tokens


@dataclass(frozen=True, slots=True)
class Captioned:
    """A crop of an image with its captions.

    Attributes:
        box: xyxy in whole pixels.
        captions: Paraphrases of each other.
        meaning: Equal for crops that show the same.
    """

    box: tuple[int, int, int, int]
    captions: tuple[str, ...]
    meaning: str


def caption_parts(still: Still, rng: np.random.Generator) -> list[Captioned]:
    """Choose crops of an image and write their captions."""
    height, width = still.image.shape[:2]
    pairs: dict[tuple[int, int], list[str]] = {}
    for interaction in still.interactions:
        pairs.setdefault((interaction.human, interaction.object), []).append(interaction.verb)
    parts = []
    for (human, object_id), verbs in sorted(pairs.items()):
        category = still.scene.visible[object_id].category
        both = _union(still.scene.visible[human].box, still.scene.visible[object_id].box)
        box = _square(both, width, height, rng.uniform(1.0, 1.4)) if rng.random() < 0.7 else _whole(both, width, height)
        captions = [_pair_caption(still, human, str(rng.choice(verbs[:1] * 3 + verbs)), category, rng) for _ in range(_WRITERS)]
        parts.append(Captioned(box, tuple(captions), "; ".join(f"{verb} {category}" for verb in sorted(verbs))))
    parts = [parts[index] for index in rng.permutation(len(parts))[:2]]
    if rng.random() < 0.45:
        parts += _single(still, rng)
    if pairs and rng.random() < 0.4:
        parts.append(_scene(still, pairs, rng))
    if rng.random() < 0.08:
        parts += _nothing(still, rng)
    return parts


def _pair_caption(still: Still, human: int, verb: str, category: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.4:
        return _plain(verb, category)
    return f"{_pick(_words()['leads'], rng)} {_clause(still, human, verb, category, rng)}"


def _plain(verb: str, category: str) -> str:
    return hoi_prompt("and" if verb == NO_INTERACTION else verb_phrase(verb), category)


def _clause(still: Still, human: int, verb: str, category: str, rng: np.random.Generator) -> str:
    words = _words()
    who = _pick(words["people"], rng) if rng.random() < 0.6 else words["people"][0]
    if rng.random() < 0.25:
        who = f"{who} in a {_colour_name(still.looks[human].shirt)} shirt"
    does, what = (_pick(words["verbs"][verb], rng), with_article(_pick(words["objects"][category], rng)))
    return f"{who} {does} {what}"


def _single(still: Still, rng: np.random.Generator) -> list[Captioned]:
    """Choose a crop of one person or object."""
    height, width = still.image.shape[:2]
    shown = [one for _, one in sorted(still.scene.visible.items()) if one.is_clear]
    shown = [one for one in shown if max(one.box[2] - one.box[0], one.box[3] - one.box[1]) >= _LEAST_SIDE]
    objects = [one for one in shown if one.category != HUMAN_CATEGORY]
    chosen = objects if objects and rng.random() < 0.85 else shown
    if not chosen:
        return []
    one = chosen[rng.integers(len(chosen))]
    words = _words()
    names = words["people"] if one.category == HUMAN_CATEGORY else [with_article(name) for name in words["objects"][one.category]]
    captions = [f"a photo of {names[0]}"] + [f"{_pick(words['leads'], rng)} {_pick(names, rng)}" for _ in range(_WRITERS - 1)]
    box = _whole(one.box, width, height) if rng.random() < 0.6 else _square(one.box, width, height, rng.uniform(1.0, 1.15))
    return [Captioned(box, tuple(captions), one.category)]


def _scene(still: Still, pairs: Mapping[tuple[int, int], Sequence[str]], rng: np.random.Generator) -> Captioned:
    """Take the centre square, which is what the network's CLIP receives."""
    height, width = still.image.shape[:2]
    left = (width - height) // 2
    shown = []
    for (human, object_id), verbs in sorted(pairs.items()):
        both = _union(still.scene.visible[human].box, still.scene.visible[object_id].box)
        if left <= (both[0] + both[2]) / 2 <= left + height:
            shown.append((human, verbs, still.scene.visible[object_id].category))
    box = (left, 0, left + height, height)
    if not shown:
        return Captioned(box, (NOTHING_PROMPT,), "nothing")
    captions = []
    for _ in range(_WRITERS):
        clauses = [_clause(still, human, verbs[0], category, rng) for human, verbs, category in shown]
        order = rng.permutation(len(clauses))[:3]
        captions.append(f"{_pick(_words()['leads'], rng)} " + " and ".join(clauses[index] for index in order))
    captions = [caption for caption in captions if len(caption.split()) <= _MOST_WORDS] or [_plain(shown[0][1][0], shown[0][2])]
    return Captioned(box, tuple(captions), "; ".join(sorted(f"{verb} {category}" for _, verbs, category in shown for verb in verbs)))


def _nothing(still: Still, rng: np.random.Generator) -> list[Captioned]:
    """Choose a crop that shows neither a person nor an object."""
    height, width = still.image.shape[:2]
    for _ in range(6):
        side = int(rng.integers(24, 80))
        left, top = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        box = (left, top, left + side, top + side)
        if all(_apart(box, one.box) for one in still.scene.visible.values()):
            return [Captioned(box, (NOTHING_PROMPT, "a photo of an empty place", "a picture of nothing"), "nothing")]
    return []


def _apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _whole(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    return max(0, int(box[0])), max(0, int(box[1])), min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))


def _square(box: Box, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """Extend a box to a square, shifted into the image."""
    side = int(min(height, width, margin * max(box[2] - box[0], box[3] - box[1]) + 2))
    left = int(np.clip((box[0] + box[2] - side) / 2, 0, width - side))
    top = int(np.clip((box[1] + box[3] - side) / 2, 0, height - side))
    return left, top, left + side, top + side


def _colour_name(colour: tuple[int, int, int]) -> str:
    known: dict[str, list[int]] = _words()["colours"]
    return min(known, key=lambda name: sum((one - other) ** 2 for one, other in zip(known[name], colour, strict=True)))


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


@cache
def _words() -> dict[str, Any]:
    words: dict[str, Any] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return words
