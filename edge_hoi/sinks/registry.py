"""Sink types by their name in a configuration: those of this package, and those of other packages.

Another package adds a sink by an entry point of the group `edge_hoi.sinks`: its name is the `type`, its object a `SinkSettings` subclass.
"""

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from edge_hoi.errors import ConfigError, nearest_name
from edge_hoi.sinks.settings import SinkSettings

GROUP = "edge_hoi.sinks"
_BUILT_IN = {
    "jsonl": "edge_hoi.sinks.jsonl:JsonlSettings",
    "kafka": "edge_hoi.sinks.kafka:KafkaSettings",
    "mqtt": "edge_hoi.sinks.mqtt:MqttSettings",
    "parquet": "edge_hoi.sinks.parquet:ParquetSettings",
    "redis": "edge_hoi.sinks.redis_stream:RedisSettings",
    "sqlite": "edge_hoi.sinks.sqlite_events:SqliteSettings",
    "webhook": "edge_hoi.sinks.webhook:WebhookSettings",
}


def sink_types() -> tuple[str, ...]:
    """List all installed sink types."""
    return tuple(sorted(_registry()))


def settings_of(type_name: str) -> type[SinkSettings]:
    """Return the settings class of a sink type, importing its module now.

    Raises:
        ConfigError: There is no such type, or its entry point is not a `SinkSettings` subclass.
    """
    registry = _registry()
    if type_name not in registry:
        fix = nearest_name(type_name, registry, "is the package that provides it installed?", cutoff=0.5)
        raise ConfigError(f"a sink's type is one of {', '.join(sink_types())}, got {type_name!r}; {fix}")
    settings = registry[type_name].load()
    if not (isinstance(settings, type) and issubclass(settings, SinkSettings)):
        raise ConfigError(f"the entry point {type_name!r} of group {GROUP} is {settings!r}, which is no subclass of SinkSettings")
    return settings


@cache
def _registry() -> dict[str, EntryPoint]:
    """Collect the entry points; those of this package cannot be replaced."""
    built_in = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    return {point.name: point for point in entry_points(group=GROUP)} | built_in
