"""Settings of the outbox: the section `outbox` of a configuration."""

from pydantic import Field

from edge_hoi.config_types import Location, Section


class OutboxSettings(Section):
    """Where events are kept until every sink has them, and for how long."""

    path: Location | None = Field(
        None, description="Its file; where absent, one that is deleted at the end of the run, which suits recordings"
    )
    max_age_days: float = Field(7.0, gt=0, le=3650, description="Older events are dropped, delivered or not")
    max_megabytes: float = Field(1000.0, ge=1, le=1_000_000, description="When it is larger, the oldest events are dropped")
    drain_seconds: float = Field(10.0, ge=0, le=86_400, description="At the end of a run: longest wait for the sinks without progress")
