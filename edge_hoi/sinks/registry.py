"""The kinds of sink, by the `type` that stands in a configuration: those of this package, and those that others add.

Another package adds a sink by an entry point of the group `edge_hoi.sinks`: its name is the `type`, its object a `SinkSettings` subclass.
"""

from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from edge_hoi.errors import ConfigError
from edge_hoi.sinks.settings import SinkSettings

GROUP = "edge_hoi.sinks"
_OWN = {
    "jsonl": "edge_hoi.sinks.jsonl:JsonlSettings",
    "kafka": "edge_hoi.sinks.kafka:KafkaSettings",
    "mqtt": "edge_hoi.sinks.mqtt:MqttSettings",
    "parquet": "edge_hoi.sinks.parquet:ParquetSettings",
    "redis": "edge_hoi.sinks.redis_stream:RedisSettings",
    "sqlite": "edge_hoi.sinks.sqlite_events:SqliteSettings",
    "webhook": "edge_hoi.sinks.webhook:WebhookSettings",
}


def sink_types() -> tuple[str, ...]:
    """Name every kind of sink that can be chosen."""
    return tuple(sorted(_kinds()))


def settings_of(type_name: str) -> type[SinkSettings]:
    """Find the settings of a kind of sink; its module is imported now and not before.

    Args:
        type_name: The `type` of a sink.

    Raises:
        ConfigError: There is no such kind, or what an entry point names is not one.
    """
    kinds = _kinds()
    if type_name not in kinds:
        near = get_close_matches(type_name, kinds, n=1, cutoff=0.5)
        raise ConfigError(
            f"a sink's type is one of {', '.join(sink_types())}, got {type_name!r}; "
            + (f"did you mean `{near[0]}`?" if near else "is the package that brings it installed?")
        )
    settings = kinds[type_name].load()
    if not (isinstance(settings, type) and issubclass(settings, SinkSettings)):
        raise ConfigError(f"the entry point {type_name!r} of group {GROUP} names {settings!r}, which is no subclass of SinkSettings")
    return settings


@cache
def _kinds() -> dict[str, EntryPoint]:
    """Collect the kinds; those of this package cannot be replaced."""
    own = {name: EntryPoint(name, value, GROUP) for name, value in _OWN.items()}
    return {point.name: point for point in entry_points(group=GROUP)} | own
