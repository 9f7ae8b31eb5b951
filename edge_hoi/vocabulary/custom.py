"""Custom vocabularies: a YAML list of phrases, or of verbs, objects and free prompts.

    - person riding bicycle                   # required words: person, an -ing form, an object
    - a person talking on a cell phone        # articles are optional
    - {verb: push, object: shopping cart}     # base form, or -ing form; the prompt is generated
    - {prompt: a worker without a helmet, object: helmet}

or, with a name and prompts for unusual objects, a mapping:

    name: warehouse
    interactions: [person driving forklift]
    objects: {forklift: a photo of a yellow forklift truck}

A phrase's object begins after its last article, if there is one; else at the longest ending that is a name of COCO's 80 objects or of
`objects`; else at the last word. "person and bicycle" is `no_interaction`.
"""

import unicodedata
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from edge_hoi.errors import VocabularyError, nearest_name
from edge_hoi.vocabulary.data_files import parse_yaml
from edge_hoi.vocabulary.phrases import ARTICLES, base_form, gerund, hoi_prompt, hoi_text, is_gerund, is_latin, with_article
from edge_hoi.vocabulary.published import coco_category_ids, known_vocabularies
from edge_hoi.vocabulary.vocabulary import NO_INTERACTION, NOTHING_PROMPT, HoiCategory, Vocabulary

_EXAMPLE = "write it like `person riding bicycle` or `{verb: ride, object: bicycle}`"
_MAX_CHARACTERS = 400
_JOINERS = "\u200c\u200d"
_NOT_NOUNS = ARTICLES | {"at", "from", "in", "into", "of", "off", "on", "onto", "out", "over", "to", "under", "up", "with"}


@dataclass(frozen=True, slots=True)
class _Entry:
    verb: str
    noun: str
    text: str
    prompt: str


def parse_custom(content: bytes, *, file: str, name: str) -> Vocabulary:
    """Parse a custom vocabulary.

    Args:
        content: The YAML file's bytes.
        file: The file's name, for messages.
        name: The name of a vocabulary that has none.

    Returns:
        Verbs and objects are numbered in the order of their first entries.

    Raises:
        VocabularyError: It is not YAML, empty, or an entry is invalid or a duplicate; the message has the place and the fix.
    """
    return custom_vocabulary(parse_yaml(content, name=file), file=file, name=name)


def custom_vocabulary(data: object, *, file: str, name: str) -> Vocabulary:
    """Create a custom vocabulary from the data of its YAML file; see `parse_custom`."""
    document = _checked_keys(data if isinstance(data, dict) else {"interactions": data}, ("name", "interactions", "objects"), file)
    object_prompts = _object_prompts(document.get("objects", {}), file)
    name = _text(document.get("name", name), f"{file}, name")
    if name in known_vocabularies():
        raise VocabularyError(f"{file}: {name!r} is the name of a published vocabulary; set another `name:`")
    interactions = document.get("interactions")
    if not isinstance(interactions, list) or not interactions:
        raise VocabularyError(f"{file}: expected a list of interactions, found none; write lines like `- person riding bicycle`")
    known = coco_category_ids().keys() | object_prompts.keys()
    entries = [_entry(item, known, f"{file}, entry {number}") for number, item in enumerate(interactions, 1)]
    _refuse_duplicates(entries, file)
    return _vocabulary(name, entries, object_prompts)


def _vocabulary(name: str, entries: list[_Entry], object_prompts: Mapping[str, str]) -> Vocabulary:
    coco = coco_category_ids()
    verb_ids = {verb: verb_id for verb_id, verb in enumerate(dict.fromkeys(entry.verb for entry in entries))}
    object_ids = {noun: object_id for object_id, noun in enumerate(dict.fromkeys(entry.noun for entry in entries))}
    prompts = [object_prompts.get(noun, f"a photo of {with_article(noun)}") for noun in object_ids]
    return Vocabulary(
        name=name,
        objects=tuple(object_ids),
        object_prompts=(*prompts, NOTHING_PROMPT),
        verbs=tuple(verb_ids),
        hois=tuple(HoiCategory(verb_ids[entry.verb], object_ids[entry.noun], entry.text, entry.prompt) for entry in entries),
        coco_category_ids=tuple(coco.get(noun) for noun in object_ids),
    )


def _entry(item: object, known: AbstractSet[str], where: str) -> _Entry:
    if not isinstance(item, dict):
        phrase = _text(item, where)
        where = f"{where} ({phrase!r})"
        return _inflected_entry(*_split(_words(phrase, where), known, where))
    fields = {key: _text(value, f"{where}, {key}") for key, value in _checked_keys(item, ("verb", "object", "prompt"), where).items()}
    if "object" not in fields or not fields.keys() & {"verb", "prompt"}:
        raise VocabularyError(
            f"{where}: expected `object` and one of `verb` and `prompt`, got {', '.join(fields) or 'nothing'}; {_EXAMPLE}"
        )
    noun = " ".join(_words(fields["object"], f"{where}, object"))
    if "verb" not in fields:
        return _free_entry(fields["prompt"], noun, where)
    return _inflected_entry(_words(fields["verb"], f"{where}, verb"), noun, fields.get("prompt"))


def _inflected_entry(verb_words: list[str], noun: str, prompt: str | None = None) -> _Entry:
    """Write a verb in its -ing form, unless it is given in it."""
    verb = NO_INTERACTION if verb_words == ["and"] else _verb_name(verb_words)
    phrase = "and" if verb == NO_INTERACTION else " ".join([gerund(verb_words[0]), *verb_words[1:]])
    return _Entry(verb, noun, hoi_text(phrase, noun), prompt or hoi_prompt(phrase, noun))


def _free_entry(prompt: str, noun: str, where: str) -> _Entry:
    """Derive the verb's name from the words of the prompt, so that events of two prompts differ."""
    plain = "".join(character if _is_plain(character) else " " for character in prompt.lower())
    words = [word for word in _strip_prefix(plain.split()) if word not in ARTICLES]
    text = " ".join(words)
    verb_words = text.removeprefix("person ").removesuffix(f" {noun}").split()
    if not verb_words:
        raise VocabularyError(f"{where}: the prompt {prompt!r} has no words; {_EXAMPLE}")
    return _Entry(_verb_name(verb_words), noun, text, prompt)


def _split(words: list[str], known: AbstractSet[str], where: str) -> tuple[list[str], str]:
    """Split a phrase into its verb's words and its object."""
    words = _strip_prefix(words)
    if words[:1] != ["person"]:
        raise VocabularyError(f"{where}: expected a phrase about a person; {_EXAMPLE}")
    words = words[1:]
    articles = [index for index, word in enumerate(words[:-1]) if index and word in ARTICLES]
    endings = [start for start in range(1, len(words)) if " ".join(words[start:]) in known]
    begin = articles[-1] + 1 if articles else min(endings, default=len(words) - 1)
    verb_words, noun = [word for word in words[:begin] if word not in ARTICLES], " ".join(words[begin:])
    if not verb_words or noun in _NOT_NOUNS:
        raise VocabularyError(f"{where}: names no object; {_EXAMPLE}")
    if verb_words != ["and"] and is_latin(verb_words[0]) and not is_gerund(verb_words[0]):
        raise VocabularyError(f"{where}: expected an -ing form after `person`, got {verb_words[0]!r}; {_EXAMPLE}")
    return verb_words, noun


def _strip_prefix(words: list[str]) -> list[str]:
    """Remove "a photo of" and an article."""
    if words[:3] == ["a", "photo", "of"]:
        words = words[3:]
    return words[1:] if words[:1] and words[0] in ARTICLES else words


def _verb_name(words: list[str]) -> str:
    return "_".join([base_form(words[0]) if is_gerund(words[0]) else words[0], *words[1:]])


def _words(text: str, where: str) -> list[str]:
    words = text.lower().replace("_", " ").split()
    for word in words:
        if not all(map(_is_plain, word)):
            raise VocabularyError(f"{where}: expected plain words, got {word!r}; for free text write `{{prompt: ..., object: ...}}`")
    return words


def _is_plain(character: str) -> bool:
    """Whether a character is part of words: also the marks and joiners of scripts such as Devanagari."""
    return character.isalnum() or character in "_'-" + _JOINERS or unicodedata.category(character).startswith("M")


def _text(value: object, where: str) -> str:
    text = " ".join(unicodedata.normalize("NFC", value).split()) if isinstance(value, str) else ""
    if len(text) > _MAX_CHARACTERS:
        raise VocabularyError(f"{where}: expected a short text, got {len(text)} characters; CLIP reads about 75 words")
    if not all(character.isprintable() or character in _JOINERS for character in text) or not text.strip(_JOINERS):
        raise VocabularyError(
            f"{where}: expected text, got {'nothing printable' if isinstance(value, str) else 'a list or mapping'}; {_EXAMPLE}"
        )
    return text


def _object_prompts(value: object, file: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise VocabularyError(f"{file}, objects: expected a mapping like `forklift: a photo of a yellow forklift truck`")
    where = f"{file}, objects"
    prompts = {" ".join(_words(_text(noun, where), where)): _text(prompt, f"{where}, {noun}") for noun, prompt in value.items()}
    for noun in prompts.keys() & coco_category_ids().keys():
        raise VocabularyError(f"{where}: {noun!r} is one of COCO's objects, which have a fixed prompt; use another name")
    return prompts


def _checked_keys(mapping: Mapping[Any, Any], allowed: tuple[str, ...], where: str) -> Mapping[str, Any]:
    for key in mapping:
        if key not in allowed:
            hint = nearest_name(str(key), allowed, f"known are {', '.join(allowed)}")
            raise VocabularyError(f"{where}: unknown key {str(key)[:60]!r}; {hint}")
    return mapping


def _refuse_duplicates(entries: list[_Entry], file: str) -> None:
    first: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(entries, 1):
        for key in ((entry.verb, entry.noun), (entry.prompt,)):
            if first.setdefault(key, number) != number:
                raise VocabularyError(f"{file}, entry {number} ({entry.text!r}) repeats entry {first[key]}; remove one")
