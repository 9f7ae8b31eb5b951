"""The sinks and the outbox that a configuration names."""

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_hoi.config import RunConfig
from edge_hoi.outbox import Delivery, Outbox, Relay, Retention
from edge_hoi.sinks import SelectiveSink, SinkContext, SinkSettings
from edge_hoi.types import MediaFile


def open_delivery(config: RunConfig, cameras: Sequence[str], read_media: Callable[[MediaFile], bytes | None] | None = None) -> Delivery:
    """Open the outbox and make every sink; delivery begins with `Delivery.start`.

    Args:
        config: Its `sinks`, `outbox` and `site`.
        cameras: Names of the sources.
        read_media: See `SinkContext`.

    Raises:
        ConfigError: A sink's settings cannot work together.
        DeliveryError: The outbox or a sink's file cannot be opened.
        MissingDependencyError: A sink's client library is not installed.
    """
    snapshots = config.media.snapshots if config.media else None
    context = SinkContext(config.site, tuple(cameras), read_media, snapshots.media_type if snapshots else None)
    kept = config.outbox
    retention = Retention(kept.max_age_days * 86_400, round(kept.max_megabytes * 1_000_000), keeps_delivered=kept.path is not None)
    outbox = Outbox(Path(kept.path) if kept.path else None, retention=retention)
    try:
        relays = [_relay(settings, context, outbox) for settings in config.sinks]
    except BaseException:
        outbox.close()
        raise
    return Delivery(outbox, relays, drain_seconds=kept.drain_seconds)


def _relay(settings: SinkSettings, context: SinkContext, outbox: Outbox) -> Relay:
    sink = SelectiveSink(
        settings.make(context), rules=settings.rules, min_severity=settings.min_severity, camera_events=settings.needs_camera_events
    )
    return Relay(
        settings.sink_name,
        sink,
        outbox,
        batch_size=settings.batch_size,
        retry=settings.retry,
        skip_backlog=settings.skips_backlog,
    )
