"""The published vocabularies HICO-DET and V-COCO."""

from functools import cache
from typing import Any

from edge_hoi.errors import VocabularyError
from edge_hoi.vocabulary.data_files import read_data
from edge_hoi.vocabulary.phrases import hoi_prompt, hoi_text, verb_phrase, with_article
from edge_hoi.vocabulary.vocabulary import NOTHING_PROMPT, HoiCategory, Vocabulary


def known_vocabularies() -> tuple[str, ...]:
    """List the names of the published vocabularies."""
    return ("hico_det", "vcoco")


def coco_category_ids() -> dict[str, int]:
    """Map the names of COCO's 80 objects, in the order of their ids, to COCO's own category ids (1 to 90, with gaps)."""
    return {name: int(category_id) for name, category_id in read_data("coco_objects").items()}


@cache
def published_vocabulary(name: str) -> Vocabulary:
    """Load one of `known_vocabularies()`."""
    data = read_data(name)
    coco = coco_category_ids()
    objects, no_object = tuple(coco), data.get("no_object")
    prompts = [data["object_prompt"].format(object=with_article(noun)) for noun in objects]
    if no_object:
        objects, prompts = (*objects, no_object["name"]), [*prompts, no_object["prompt"]]
    return Vocabulary(
        name=name,
        objects=objects,
        object_prompts=(*prompts, NOTHING_PROMPT),
        verbs=tuple(data["verbs"]),
        hois=_hois(data, objects),
        no_object_id=len(coco) if no_object else None,
        coco_category_ids=tuple(coco.get(noun) for noun in objects),
    )


def zero_shot_splits() -> tuple[str, ...]:
    """List the names of HICO-DET's zero-shot splits."""
    return tuple(read_data("hico_det")["zero_shot_splits"])


def zero_shot_split(name: str) -> tuple[int, ...]:
    """List the ids of the HICO-DET categories that a zero-shot split excludes from training, ascending.

    Args:
        name: `rare_first`, `non_rare_first`, `unseen_object`, `unseen_verb`, `uc0` to `uc4`.

    Raises:
        VocabularyError: There is no such split.
    """
    splits = read_data("hico_det")["zero_shot_splits"]
    if name not in splits:
        raise VocabularyError(f"no zero-shot split is called {name!r}; there are {', '.join(splits)}")
    return tuple(int(hoi_id) for hoi_id in splits[name])


def _hois(data: dict[str, Any], objects: tuple[str, ...]) -> tuple[HoiCategory, ...]:
    verb_ids = {verb: verb_id for verb_id, verb in enumerate(data["verbs"])}
    object_ids = {noun: object_id for object_id, noun in enumerate(objects)}
    no_object = data.get("no_object", {}).get("name")
    rare = {int(hoi_id) for hoi_id in data["rare"]} if "rare" in data else None
    pairs = [(verb, noun) for group in data["hois"] for noun, verbs in group.items() for verb in verbs]
    hois = []
    for hoi_id, (verb, noun) in enumerate(pairs):
        phrase = data["phrases"].get(verb) or verb_phrase(verb.removesuffix("_obj").removesuffix("_instr"))
        named = None if noun == no_object else noun
        is_rare = None if rare is None else hoi_id in rare
        hois.append(HoiCategory(verb_ids[verb], object_ids[noun], hoi_text(phrase, named), hoi_prompt(phrase, named), is_rare))
    return tuple(hois)
