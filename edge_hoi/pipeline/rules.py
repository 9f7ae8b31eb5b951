"""Check at the start that rules, zones, lines, cameras, vocabularies and sinks know each other's names."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from edge_hoi.config import RunConfig, line_in
from edge_hoi.errors import ConfigError, nearest_name
from edge_hoi.events import RuleSettings, matches
from edge_hoi.vocabulary import Vocabulary

_MOST_LISTED = 20
_Location = tuple[int | str, ...]


def check_rules(config: RunConfig, vocabularies: Mapping[str, Vocabulary], config_file: Path | None) -> None:
    """Refuse names in rules, and of rules in sinks, that nothing has: they are misspelt, and would never match.

    Args:
        config: The configuration.
        vocabularies: Of each camera by its name, in the order of the sources.
        config_file: Where the configuration was read, for messages.

    Raises:
        ConfigError: A name is not known, of a camera, an interaction, a zone, a line or a rule.
    """
    sources = dict(zip(vocabularies, config.sources, strict=True))
    for number, rule in enumerate(config.rules):
        place: _Location = ("rules", number)
        for index, pattern in enumerate(rule.cameras):
            if not any(fnmatchcase(name, pattern) for name in sources):
                raise _unknown("camera", pattern, sources, (*place, "cameras", index), config_file)
        watched = [name for name in sources if rule.is_for(name)]
        _check_interactions(rule, [vocabularies[name] for name in watched], place, config_file)
        for index, zone in enumerate(rule.zones):
            zones = [name for camera in watched for name in sources[camera].zones]
            if zone not in zones:
                raise _unknown("zone", zone, zones, (*place, "zones", index), config_file)
        lines = [name for camera in watched for name in sources[camera].lines]
        if rule.line is not None and rule.line.name not in lines:
            raise _unknown("line", rule.line.name, lines, (*place, "line"), config_file)
    for number, sink in enumerate(config.sinks):
        for index, name in enumerate(sink.rules):
            names = [rule.name for rule in config.rules]
            if name not in names:
                raise _unknown("rule", name, names, ("sinks", number, "rules", index), config_file)


def _check_interactions(rule: RuleSettings, vocabularies: list[Vocabulary], place: _Location, config_file: Path | None) -> None:
    for index, pattern in enumerate(rule.interactions):
        if not any(matches(pattern, vocabulary, hoi) for vocabulary in vocabularies for hoi in vocabulary.hois):
            known = {f"{each.verbs[hoi.verb_id]} {each.objects[hoi.object_id]}" for each in vocabularies for hoi in each.hois}
            raise _unknown("interaction", pattern, sorted(known), (*place, "interactions", index), config_file)


def _unknown(kind: str, name: str, known: Collection[str], location: _Location, config_file: Path | None) -> ConfigError:
    names = list(dict.fromkeys(known))
    fix = nearest_name(name, names, f"known here: {', '.join(names[:_MOST_LISTED]) or 'none'}")
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    origin = "" if config_file is None else f"{config_file}{line_in(config_file, location)}: "
    return ConfigError(f"{origin}{place}: there is no {kind} {name!r}; {fix}")
