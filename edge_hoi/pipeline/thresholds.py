"""Thresholds: the engine's own where the configuration sets none."""

from edge_hoi.config import AnnotateConfig, RunConfig
from edge_hoi.detection import known_categories
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeSettings, VerbSettings
from edge_hoi.events.settings import OF_TRAINED_ENGINES
from edge_hoi.media import AnnotateSettings
from edge_hoi.runtime import Manifest
from edge_hoi.tracking import TrackerSettings
from edge_hoi.vocabulary import Vocabulary


def episode_settings(config: RunConfig, manifest: Manifest) -> EpisodeSettings:
    """Combine the configuration's episode settings with the engine's own, which apply where the configuration sets none.

    The engine's thresholds of single verbs and interactions apply only with its own general thresholds; what it disables stays disabled. An
    exception of the configuration replaces the engine's of the same verb, also those for the verb with one object.

    An engine of trained weights without thresholds has `OF_TRAINED_ENGINES`.

    Raises:
        ConfigError: The combination is invalid.
    """
    of_engine = manifest.episodes or (OF_TRAINED_ENGINES if manifest.is_trained else None)
    if of_engine is None or (manifest.episodes is None and {"enter", "leave"} & config.episodes.model_fields_set):
        return config.episodes
    own, configured = of_engine.model_dump(exclude_unset=True), config.episodes.model_dump(exclude_unset=True)
    exceptions = {kind: own.get(kind, {}) for kind in ("verbs", "interactions")}
    if {"enter", "leave"} & configured.keys():
        exceptions = {
            kind: {name: {"enabled": False} for name, each in of_kind.items() if each.get("enabled") is False}
            for kind, of_kind in exceptions.items()
        }
    verbs = configured.get("verbs", {})
    exceptions["interactions"] = {name: each for name, each in exceptions["interactions"].items() if name.split(" ")[0] not in verbs}
    merged = {kind: of_kind | configured.get(kind, {}) for kind, of_kind in exceptions.items()}
    try:
        return EpisodeSettings(**(own | configured | merged))
    except ValueError as error:
        raise ConfigError(
            f"the engine's own episode thresholds ({own}) conflict with the configuration's; set both `enter` and `leave` there"
        ) from error


def for_vocabulary(episodes: EpisodeSettings, base_vocabulary: Vocabulary, vocabulary: Vocabulary) -> EpisodeSettings:
    """Give categories of a vocabulary the exceptions of those categories of an engine without CLIP that they are mapped onto."""
    interactions = dict(episodes.interactions)
    for hoi, row in zip(vocabulary.hois, known_categories(base_vocabulary, vocabulary), strict=True):
        verb, noun = vocabulary.verbs[hoi.verb_id], vocabulary.objects[hoi.object_id]
        if row is not None and verb not in episodes.verbs:
            known = base_vocabulary.hois[row]
            exceptions = episodes.exceptions(base_vocabulary.verbs[known.verb_id], base_vocabulary.objects[known.object_id])
            interactions.setdefault(f"{verb} {noun}", VerbSettings(**exceptions))
    return episodes.model_copy(update={"interactions": interactions})


def tracker_settings(config: RunConfig, episodes: EpisodeSettings) -> TrackerSettings:
    """Return the tracker's settings; by default, tracks begin at the lowest score that is evidence of an episode."""
    if "new_track_threshold" in config.tracking.model_fields_set:
        return config.tracking
    return config.tracking.model_copy(update={"new_track_threshold": episodes.lowest_leave})


def annotate_settings(config: AnnotateConfig, lowest_score: float) -> AnnotateSettings:
    """Return what an annotated video shows; by default, scores of at least `lowest_score`: all that is evidence of an episode."""
    return AnnotateSettings(min_score=lowest_score if config.min_score is None else config.min_score)
