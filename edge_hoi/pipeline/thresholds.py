"""What scores count for: an engine's own levels, where the configuration names none."""

from edge_hoi.config import AnnotateConfig, RunConfig
from edge_hoi.errors import ConfigError
from edge_hoi.events import EpisodeSettings
from edge_hoi.media import AnnotateSettings
from edge_hoi.runtime import Manifest
from edge_hoi.tracking import TrackerSettings


def episode_settings(config: RunConfig, manifest: Manifest) -> EpisodeSettings:
    """Say when episodes start and end: as configured, and by the engine's own levels where the configuration names none.

    What the engine says of single verbs holds only with its own general levels.

    Args:
        config: The configuration.
        manifest: The engine's.

    Raises:
        ConfigError: What is configured and the engine's levels do not go together.
    """
    if manifest.episodes is None:
        return config.episodes
    own, configured = manifest.episodes.model_dump(exclude_unset=True), config.episodes.model_dump(exclude_unset=True)
    verbs = {} if {"enter", "leave"} & configured.keys() else own.get("verbs", {})
    try:
        return EpisodeSettings(**(own | configured | {"verbs": verbs | configured.get("verbs", {})}))
    except ValueError as error:
        raise ConfigError(
            f"the engine's own episode levels ({own}) do not go with the configuration's: give both `enter` and `leave` there"
        ) from error


def tracker_settings(config: RunConfig, episodes: EpisodeSettings) -> TrackerSettings:
    """Say how to follow: unless configured otherwise, tracks begin with what can be evidence of an episode, and with nothing weaker.

    Args:
        config: The configuration.
        episodes: The episodes' settings.
    """
    if "new_track_threshold" in config.tracking.model_fields_set:
        return config.tracking
    return config.tracking.model_copy(update={"new_track_threshold": episodes.lowest_leave})


def annotate_settings(config: AnnotateConfig, episodes: EpisodeSettings) -> AnnotateSettings:
    """Say what an annotated video shows: unless configured otherwise, what can be evidence of an episode, and nothing weaker.

    Args:
        config: The video's configuration.
        episodes: The episodes' settings.
    """
    return AnnotateSettings(min_score=episodes.lowest_leave if config.min_score is None else config.min_score)
