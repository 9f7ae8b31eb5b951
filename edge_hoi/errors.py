"""The exception tree: everything edge-hoi raises on purpose derives from `EdgeHoiError`.

A message says what was expected, what came, and how to mend it, in one line. The command line prints that line and exits with
`exit_code`; library users catch the class.
"""

from typing import ClassVar


class EdgeHoiError(Exception):
    """Base of every error that edge-hoi raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(EdgeHoiError):
    """A configuration, a vocabulary or an argument is not usable as written."""

    exit_code: ClassVar[int] = 2


class VocabularyError(ConfigError):
    """A vocabulary file or name cannot be used."""


class DatasetError(ConfigError):
    """A data set on disk is not there, damaged, or not of the form expected."""


class SourceError(EdgeHoiError):
    """A video source cannot be opened or read.

    Attributes:
        code: A stable machine-readable reason: `not_found`, `not_video`, `corrupt`, `unreachable`, `unauthorized`, `timeout`,
            `unsupported`.
        is_retryable: Whether trying again later can help.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, code: str, is_retryable: bool) -> None:
        """Say what happened.

        Args:
            message: The line for a person, secrets masked.
            code: The stable reason.
            is_retryable: Whether trying again later can help.
        """
        super().__init__(message)
        self.code = code
        self.is_retryable = is_retryable


class EngineError(EdgeHoiError):
    """An engine cannot be built, opened or run."""

    exit_code: ClassVar[int] = 4


class ManifestError(EngineError):
    """An engine's folder does not hold what its manifest says."""


class CheckpointError(EngineError):
    """A checkpoint is not what was expected: damaged, of another model, or with missing or surplus keys."""


class MissingDependencyError(EdgeHoiError):
    """An optional package is needed and not installed; the message holds the install command."""

    exit_code: ClassVar[int] = 5


class DeliveryError(EdgeHoiError):
    """Events cannot be kept or handed on."""

    exit_code: ClassVar[int] = 6


class SinkError(DeliveryError):
    """A sink did not accept the whole batch; the subclass decides what happens to the rest.

    Attributes:
        delivered: How many messages of the batch were delivered, from the first on. The error is about the one after them.
    """

    def __init__(self, message: str, *, delivered: int = 0) -> None:
        """Set the message, which must contain no secrets, and how many messages were delivered before the failure."""
        super().__init__(message)
        self.delivered = delivered


class SinkUnavailableError(SinkError):
    """A temporary failure (no answer, a timeout, too many requests): retried until it succeeds."""


class EventRefusedError(SinkError):
    """This event can never be delivered (malformed, too large): a dead letter after a few attempts; later events go on."""


class SinkFaultError(SinkError):
    """No event can be delivered without operator action (a wrong password, a missing topic, an untrusted certificate).

    Events wait, and the sink is retried at its longest interval.
    """


class TrainingError(EdgeHoiError):
    """Training cannot go on, or cannot be resumed."""

    exit_code: ClassVar[int] = 7


class DownloadError(EdgeHoiError):
    """A file cannot be fetched, or is not the one expected."""

    exit_code: ClassVar[int] = 8
