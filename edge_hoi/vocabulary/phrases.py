"""English prompts: from verb and object to "a photo of a person riding a bicycle", and back to the verb.

Words of other scripts are not inflected and get no article.

A verb's name is its base form, words joined by `_` (`ride`, `talk_on`). Its phrase is the -ing form of the first word and the rest
("riding", "talking on"). Exceptions to the rules are in `data/english.yaml`.
"""

import re
import unicodedata
from functools import cache

from edge_hoi.vocabulary.data_files import read_data

ARTICLES = frozenset({"a", "an", "the"})

_SHORT = re.compile(r"(?:[^aeiou]*|qu)[aeiouy][^aeiouwxy]")
"""One syllable, one vowel letter, one consonant: `cut`, `stir`, `quit`."""


def gerund(verb: str) -> str:
    """Return the -ing form of a one-word verb: `riding` for `ride`, `cutting` for `cut`, `lying` for `lie`; an -ing form stays as it is."""
    if is_gerund(verb) or not is_latin(verb):
        return verb
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


def is_latin(word: str) -> bool:
    """Whether no letter of a word is of another script."""
    return all(unicodedata.name(letter, "").startswith("LATIN ") for letter in word if letter.isalpha())


def is_gerund(word: str) -> bool:
    """Distinguish an -ing form (`riding`) from a base form with that ending (`swing`): its stem has a vowel."""
    return word.endswith("ing") and re.search("[aeiouy]", word[:-3]) is not None


def base_form(word: str) -> str:
    """Invert `gerund`: exactly for the published verbs, by heuristics for others."""
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
    """Return a verb's phrase: `talking on` for `talk_on`."""
    first, *rest = verb.split("_")
    return " ".join([gerund(first), *rest])


def with_article(noun: str) -> str:
    """Put `a` or `an` before a noun of one or more words."""
    if not is_latin(noun.split()[0]):
        return noun
    exceptions: dict[str, str] = read_data("english")["articles"]
    article = exceptions.get(noun.split()[0], "an" if noun[0] in "aeiou" else "a")
    return f"{article} {noun}"


def hoi_prompt(phrase: str, noun: str | None) -> str:
    """Return the prompt of a verb's phrase ("riding") and an object or None: "a photo of a person riding a bicycle"."""
    return f"a photo of a person {phrase} {with_article(noun)}" if noun else f"a photo of a {hoi_text(phrase, None)}"


def hoi_text(phrase: str, noun: str | None) -> str:
    """Return the text of a verb's phrase and an object or None: "person riding bicycle", "person looking at something"."""
    if noun is None and phrase.endswith((" at", " with")):
        noun = "something"
    return f"person {phrase} {noun}" if noun else f"person {phrase}"


@cache
def _published_base_forms() -> dict[str, str]:
    verbs = {verb.split("_")[0] for verb in read_data("hico_det")["verbs"]}
    return {gerund(verb): verb for verb in verbs | set(read_data("english")["gerunds"])}
