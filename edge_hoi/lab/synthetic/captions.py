"""Captioned crops of pictures, for contrastive training: what two people who know the scene might write under each."""

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
    """A part of a picture, and what may be written under it.

    Attributes:
        box: xyxy in whole pixels.
        captions: Different ways to say it.
        meaning: Equal for parts that show the same.
    """

    box: tuple[int, int, int, int]
    captions: tuple[str, ...]
    meaning: str


def caption_parts(still: Still, rng: np.random.Generator) -> list[Captioned]:
    """Cut parts out of a picture and write captions for them.

    Args:
        still: The picture.
        rng: All the chance.
    """
    height, width = still.image.shape[:2]
    pairs: dict[tuple[int, int], list[str]] = {}
    for interaction in still.interactions:
        pairs.setdefault((interaction.human, interaction.object), []).append(interaction.verb)
    parts = []
    for (human, thing), verbs in sorted(pairs.items()):
        category = still.picture.seen[thing].category
        both = _union(still.picture.seen[human].box, still.picture.seen[thing].box)
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
    """Show a person or a thing by itself."""
    height, width = still.image.shape[:2]
    shown = [seen for _, seen in sorted(still.picture.seen.items()) if seen.is_clear]
    shown = [seen for seen in shown if max(seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]) >= _LEAST_SIDE]
    things = [seen for seen in shown if seen.category != HUMAN_CATEGORY]
    chosen = things if things and rng.random() < 0.85 else shown
    if not chosen:
        return []
    seen = chosen[rng.integers(len(chosen))]
    words = _words()
    names = words["people"] if seen.category == HUMAN_CATEGORY else [with_article(name) for name in words["objects"][seen.category]]
    captions = [f"a photo of {names[0]}"] + [f"{_pick(words['leads'], rng)} {_pick(names, rng)}" for _ in range(_WRITERS - 1)]
    box = _whole(seen.box, width, height) if rng.random() < 0.6 else _square(seen.box, width, height, rng.uniform(1.0, 1.15))
    return [Captioned(box, tuple(captions), seen.category)]


def _scene(still: Still, pairs: Mapping[tuple[int, int], Sequence[str]], rng: np.random.Generator) -> Captioned:
    """Show the middle of the picture, as the network's CLIP sees it."""
    height, width = still.image.shape[:2]
    left = (width - height) // 2
    told = []
    for (human, thing), verbs in sorted(pairs.items()):
        both = _union(still.picture.seen[human].box, still.picture.seen[thing].box)
        if left <= (both[0] + both[2]) / 2 <= left + height:
            told.append((human, verbs, still.picture.seen[thing].category))
    box = (left, 0, left + height, height)
    if not told:
        return Captioned(box, (NOTHING_PROMPT,), "nothing")
    captions = []
    for _ in range(_WRITERS):
        clauses = [_clause(still, human, verbs[0], category, rng) for human, verbs, category in told]
        order = rng.permutation(len(clauses))[:3]
        captions.append(f"{_pick(_words()['leads'], rng)} " + " and ".join(clauses[index] for index in order))
    captions = [caption for caption in captions if len(caption.split()) <= _MOST_WORDS] or [_plain(told[0][1][0], told[0][2])]
    return Captioned(box, tuple(captions), "; ".join(sorted(f"{verb} {category}" for _, verbs, category in told for verb in verbs)))


def _nothing(still: Still, rng: np.random.Generator) -> list[Captioned]:
    """Show a part where nobody and nothing is."""
    height, width = still.image.shape[:2]
    for _ in range(6):
        side = int(rng.integers(24, 80))
        left, top = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        box = (left, top, left + side, top + side)
        if all(_apart(box, seen.box) for seen in still.picture.seen.values()):
            return [Captioned(box, (NOTHING_PROMPT, "a photo of an empty place", "a picture of nothing"), "nothing")]
    return []


def _apart(one: Box, other: Box) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def _union(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _whole(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    return max(0, int(box[0])), max(0, int(box[1])), min(width, int(np.ceil(box[2]))), min(height, int(np.ceil(box[3])))


def _square(box: Box, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """Widen a box to a square, shifted into the picture."""
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
