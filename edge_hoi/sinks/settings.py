"""Settings of sinks, as they stand in a configuration's `sinks`: what all of them share. Each sink's own are in its module."""

from abc import abstractmethod

from pydantic import BaseModel, ConfigDict, Field

from edge_hoi.config_types import Identifier
from edge_hoi.sinks.sink import Sink, SinkContext


class RetrySettings(BaseModel):
    """How long a sink is left alone after a failure: exponential backoff with full jitter.

    The wait is random, of up to `initial_wait_seconds`, and twice as much with each further failure up to `max_wait_seconds`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial_wait_seconds: float = Field(0.5, gt=0, le=60)
    max_wait_seconds: float = Field(30.0, gt=0, le=3600)
    max_refusals: int = Field(3, ge=1, le=100, description="So often an event is refused for good before it becomes a dead letter")


class SinkSettings(BaseModel):
    """One entry of `sinks`. A subclass fixes `type`, adds its own fields and makes its sink.

    A subclass names secrets `SecretStr`, and files and folders `Location` (`edge_hoi.config_types`), so that relative paths count from the
    configuration's folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(description="What kind of sink it is")
    name: Identifier | None = Field(None, description="What its place in the outbox is kept under; the type where absent")
    batch_size: int = Field(100, ge=1, le=10_000, description="Most events handed over at once")
    retry: RetrySettings = RetrySettings()

    @property
    def sink_name(self) -> str:
        """The name that its place in the outbox is kept under."""
        return self.name or self.type

    @property
    def skips_backlog(self) -> bool:
        """Whether each run's sink gets that run's events only, and none that an earlier run left undelivered."""
        return False

    @abstractmethod
    def make(self, context: SinkContext) -> Sink:
        """Make the sink, without touching the network.

        Args:
            context: What the sink may want to know of the run.

        Raises:
            ConfigError: The settings cannot work together.
            DeliveryError: A local file cannot be opened.
            MissingDependencyError: The sink's client library is not installed; the message holds the command that does.
        """
