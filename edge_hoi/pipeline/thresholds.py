"""Thresholds: the engine's own where the configuration sets none."""

from edge_hoi.config import AnnotateConfig, RunConfig
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeSettings
from edge_hoi.media import AnnotateSettings
from edge_hoi.runtime import Manifest
from edge_hoi.tracking import TrackerSettings


def episode_settings(config: RunConfig, manifest: Manifest) -> EpisodeSettings:
    """Combine the configuration's episode settings with the engine's own, which apply where the configuration sets none.

    The engine's settings of single verbs apply only with its own general thresholds.

    Raises:
        ConfigError: The combination is invalid.
    """
    if manifest.episodes is None:
        return config.episodes
    own, configured = manifest.episodes.model_dump(exclude_unset=True), config.episodes.model_dump(exclude_unset=True)
    verbs = {} if {"enter", "leave"} & configured.keys() else own.get("verbs", {})
    try:
        return EpisodeSettings(**(own | configured | {"verbs": verbs | configured.get("verbs", {})}))
    except ValueError as error:
        raise ConfigError(
            f"the engine's own episode thresholds ({own}) conflict with the configuration's; set both `enter` and `leave` there"
        ) from error


def tracker_settings(config: RunConfig, episodes: EpisodeSettings) -> TrackerSettings:
    """Return the tracker's settings; by default, tracks begin at the lowest score that is evidence of an episode."""
    if "new_track_threshold" in config.tracking.model_fields_set:
        return config.tracking
    return config.tracking.model_copy(update={"new_track_threshold": episodes.lowest_leave})


def annotate_settings(config: AnnotateConfig, episodes: EpisodeSettings) -> AnnotateSettings:
    """Return what an annotated video shows; by default, all that is evidence of an episode."""
    return AnnotateSettings(min_score=episodes.lowest_leave if config.min_score is None else config.min_score)
