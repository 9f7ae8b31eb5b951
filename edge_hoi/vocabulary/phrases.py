"""English for prompts: from verb and object to "a photo of a person riding a bicycle", and back to the verb.

A verb's name is its base form, words joined by `_` (`ride`, `talk_on`). Its phrase is the -ing form of the first word and the rest
("riding", "talking on"). What the rules here do not get right is in `data/english.yaml`.
"""

import re
from functools import cache

from edge_hoi.vocabulary.data_files import read_data

ARTICLES = frozenset({"a", "an", "the"})

_SHORT = re.compile(r"(?:[^aeiou]*|qu)[aeiouy][^aeiouwxy]")
"""One syllable, one vowel letter, one consonant: `cut`, `stir`, `quit`."""


def gerund(verb: str) -> str:
    """Form a verb's -ing form.

    Args:
        verb: One word in its base form.

    Returns:
        `riding` of `ride`, `cutting` of `cut`, `lying` of `lie`.
    """
    exceptions: dict[str, str] = read_data("english")["gerunds"]
    if verb in exceptions:
        return exceptions[verb]
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    if _SHORT.fullmatch(verb):
        return verb + verb[-1] + "ing"
    return verb + "ing"


def is_gerund(word: str) -> bool:
    """Tell an -ing form (`riding`) from a base form that happens to end so (`swing`): its stem has a vowel."""
    return word.endswith("ing") and re.search("[aeiouy]", word[:-3]) is not None


def base_form(word: str) -> str:
    """Undo `gerund`: exactly for the published verbs, by rule of thumb for others.

    Args:
        word: An -ing form.

    Returns:
        `ride` of `riding`.
    """
    known = _published_base_forms()
    if word in known:
        return known[word]
    stem = word.removesuffix("ing")
    if len(stem) <= 2 and stem.endswith("y"):
        return stem[:-1] + "ie"
    if stem[-2:-1] == stem[-1:] and stem[-1] not in "lsfzeo":
        return stem[:-1]
    has_silent_e = _SHORT.fullmatch(stem) or re.search(r"[cuv]$|dg$|[aeiou]z$|[^aeiouywrl]l$|[aeiou][^aeiou]+at$", stem)
    return stem + "e" if has_silent_e else stem


def verb_phrase(verb: str) -> str:
    """Say a verb: `talking on` of `talk_on`.

    Args:
        verb: A verb's name.
    """
    first, *rest = verb.split("_")
    return " ".join([gerund(first), *rest])


def with_article(noun: str) -> str:
    """Put `a` or `an` before a noun.

    Args:
        noun: A noun, of one or more words.
    """
    exceptions: dict[str, str] = read_data("english")["articles"]
    article = exceptions.get(noun.split()[0], "an" if noun[0] in "aeiou" else "a")
    return f"{article} {noun}"


def hoi_prompt(phrase: str, noun: str | None) -> str:
    """Say a category to CLIP.

    Args:
        phrase: The verb's phrase ("riding").
        noun: The object's name; None for a category without object.

    Returns:
        "a photo of a person riding a bicycle".
    """
    return f"a photo of a person {phrase} {with_article(noun)}" if noun else f"a photo of a {hoi_text(phrase, None)}"


def hoi_text(phrase: str, noun: str | None) -> str:
    """Say a category to people.

    Args:
        phrase: The verb's phrase ("riding").
        noun: The object's name; None for a category without object.

    Returns:
        "person riding bicycle"; "person looking at something" where a preposition waits for an object.
    """
    if noun is None and phrase.endswith((" at", " with")):
        noun = "something"
    return f"person {phrase} {noun}" if noun else f"person {phrase}"


@cache
def _published_base_forms() -> dict[str, str]:
    verbs = {verb.split("_")[0] for verb in read_data("hico_det")["verbs"]}
    return {gerund(verb): verb for verb in verbs | set(read_data("english")["gerunds"])}
