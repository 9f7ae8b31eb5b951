"""The exception tree: every error that edge-hoi raises on purpose derives from `EdgeHoiError`.

A message states what happened, why, and how to fix it, in one line. The command line prints that line and exits with `exit_code`
(docs/exit-codes.md); library users catch the class.
"""

import importlib.util
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class EdgeHoiError(Exception):
    """Base of every error that edge-hoi raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(EdgeHoiError):
    """A configuration, a vocabulary or an argument is invalid."""

    exit_code: ClassVar[int] = 2


class VocabularyError(ConfigError):
    """A vocabulary is missing or invalid."""


class DatasetError(ConfigError):
    """A data set is missing, damaged or in another format."""


class SourceError(EdgeHoiError):
    """A video source cannot be opened or read.

    Attributes:
        code: A stable reason: `not_found`, `not_video`, `corrupt`, `unreachable`, `unauthorized`, `timeout`, `unsupported`,
            `refused` (what it asks for is not allowed), `memory` (decoding needs too much) or `crashed` (the decoding process died).
        is_retryable: Whether a retry can succeed.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, code: str, is_retryable: bool) -> None:
        """Set the message, which must contain no secrets, and what a program needs to react."""
        super().__init__(message)
        self.code = code
        self.is_retryable = is_retryable


class EngineError(EdgeHoiError):
    """An engine cannot be built, opened or run."""

    exit_code: ClassVar[int] = 4


class ManifestError(EngineError):
    """An engine's folder does not match its manifest."""


class CheckpointError(EngineError):
    """A checkpoint is damaged, of another model, or has missing or surplus keys."""


class MissingDependencyError(EdgeHoiError):
    """An optional package is needed and not installed; the message contains the install command."""

    exit_code: ClassVar[int] = 5

    @classmethod
    def of_extra(cls, what: str, packages: str | Iterable[str], extra: str) -> "MissingDependencyError":
        """Create the error for packages that an extra of edge-hoi installs.

        Args:
            what: What needs them, the subject of the message: "a sink of type kafka".
            packages: The missing packages.
            extra: The extra that installs them.
        """
        names = packages if isinstance(packages, str) else ", ".join(packages)
        return cls(f"{what} needs {names}: run {install_command(extra)}")

    @classmethod
    def unless_installed(cls, what: str, modules: Iterable[str], extra: str) -> None:
        """Check that modules can be imported, without importing them.

        Raises:
            MissingDependencyError: Some are missing; see `of_extra`.
        """
        missing = [module for module in modules if not importlib.util.find_spec(module)]
        if missing:
            raise cls.of_extra(what, missing, extra)


class DeliveryError(EdgeHoiError):
    """Events cannot be stored or delivered."""

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
    """Training cannot continue or resume."""

    exit_code: ClassVar[int] = 7


class DownloadError(EdgeHoiError):
    """A file cannot be downloaded, or its checksum is wrong."""

    exit_code: ClassVar[int] = 8


def nearest_name(name: str, known: Iterable[str], otherwise: str = "", *, cutoff: float = 0.6) -> str:
    """Return "did you mean 'x'?" of the known name that is most like another.

    Args:
        name: The other name.
        known: Those that it may be.
        otherwise: Returned if none is like it; without, the nearest is named however unlike it is.
        cutoff: The least likeness, from 0 to 1 (`difflib.get_close_matches`).
    """
    near = get_close_matches(name, list(known), n=1, cutoff=cutoff if otherwise else 0)
    return f"did you mean {near[0]!r}?" if near else otherwise


def install_command(extra: str) -> str:
    """Return how to install an extra. edge-hoi is not on the package index, so this works in a checkout only."""
    return f"`pip install '.[{extra}]'` in a checkout of edge-hoi"
