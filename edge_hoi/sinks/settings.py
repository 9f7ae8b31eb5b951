"""The settings that all sinks share: an entry of a configuration's `sinks`."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel, Field, SecretStr

from edge_hoi.config_types import Identifier, Section
from edge_hoi.errors import MissingDependencyError
from edge_hoi.masking import remember
from edge_hoi.sinks.sink import Sink, SinkContext
from edge_hoi.types import Severity


class RetrySettings(Section):
    """Exponential backoff with full jitter: a random wait below a limit, which doubles with each further failure."""

    initial_wait_seconds: float = Field(0.5, gt=0, le=60, description="Longest wait after the first failure")
    max_wait_seconds: float = Field(30.0, gt=0, le=3600, description="Longest wait after any failure")
    max_refusals: int = Field(3, ge=1, le=100, description="How often an event is refused before it becomes a dead letter")


class SinkSettings(Section):
    """An entry of `sinks`. A subclass fixes `type`, adds fields and creates its sink.

    Secrets are `SecretStr`, and files and folders `Location` (`edge_hoi.config_types`), so that relative paths are relative to the
    configuration's folder.
    """

    type: str = Field(description="Type of the sink")
    name: Identifier | None = Field(None, description="The sink's name in the outbox; the type where absent")
    batch_size: int = Field(100, ge=1, le=10_000, description="Most events delivered at once")
    retry: RetrySettings = RetrySettings()
    rules: tuple[str, ...] = Field((), description="Only episodes that one of these rules has matched, from then on; all where empty")
    min_severity: Severity | None = Field(None, description="Only episodes that a rule of at least this severity has matched, from then on")
    camera_events: bool = Field(False, description="Also the events of cameras: that one streams, or no longer does")

    def model_post_init(self, _context: object) -> None:
        """Have the secrets masked in all messages."""
        for secret in _secrets_in(self):
            remember(secret)

    @property
    def sink_name(self) -> str:
        """The sink's name in the outbox and in logs."""
        return self.name or self.type

    @property
    def needs_camera_events(self) -> bool:
        """Whether the sink gets the events of cameras."""
        return self.camera_events

    @property
    def files(self) -> tuple[Path, ...]:
        """The local files that it writes."""
        return ()

    @property
    def skips_backlog(self) -> bool:
        """Whether the sink gets only the events of its own run, and none that an earlier run left undelivered."""
        return False

    def _require(self, *modules: str) -> None:
        """Check that modules can be imported which the extra named like this `type` installs.

        Raises:
            MissingDependencyError: One cannot be imported.
        """
        for module in modules:
            try:
                import_module(module)
            except ImportError as error:
                raise MissingDependencyError.of_extra(f"a sink of type {self.type}", f"the module {module}", self.type) from error

    @abstractmethod
    def make(self, context: SinkContext) -> Sink:
        """Create the sink without using the network; `context` describes the run.

        Raises:
            ConfigError: The settings contradict each other.
            DeliveryError: A local file cannot be opened.
            MissingDependencyError: The sink's client library is not installed.
        """


def _secrets_in(value: object) -> Iterator[str]:
    """Yield every `SecretStr` of settings, their sections, and mappings in them."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel | Mapping):
        for part in dict(value).values():
            yield from _secrets_in(part)
