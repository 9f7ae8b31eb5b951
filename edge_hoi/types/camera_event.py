"""`CameraEvent`: a message that a camera streams, or no longer does."""

from dataclasses import dataclass, replace
from datetime import datetime

from edge_hoi.compat import StrEnum
from edge_hoi.types.event import EndReason, Event, Phase


class CameraState(StrEnum):
    """The state of a camera that made it up or down."""

    STREAMING = "streaming"
    SILENT = "silent"
    RECONNECTING = "reconnecting"
    WAITING = "waiting"
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """One message about one camera: that it is up, or down.

    An `up` and the `down` that ends it have the same `event_id`, as the start and the end of an episode have.

    Attributes:
        event_id: Id of the time that it was up; of a `down` without an `up` before it in the same run, its own.
        sequence: 0 for the first event with this id, then counting up.
        site: Name of the site.
        camera: Name of the source.
        state: `streaming` if it is up; else why it is down.
        happened_at: When its state changed; UTC.
        recorded_at: When the event was emitted.
        duration_seconds: How long it was up, or down, before; None where that is not known.
        error: What went wrong, in a line without secrets; None if nothing did.
        error_code: The kind of error, as of `SourceError`; None if it has none.
    """

    event_id: str
    sequence: int
    site: str
    camera: str
    state: CameraState
    happened_at: datetime
    recorded_at: datetime
    duration_seconds: float | None = None
    error: str | None = None
    error_code: str | None = None

    @property
    def phase(self) -> Phase:
        """`started` of an `up`, `ended` of a `down`."""
        return Phase.STARTED if self.state is CameraState.STREAMING else Phase.ENDED

    @property
    def text(self) -> str:
        """For people: "camera gate is down: silent"."""
        return f"camera {self.camera} is " + ("up" if self.phase is Phase.STARTED else f"down: {self.state}")

    def ended(self, reason: EndReason, now: datetime) -> "CameraEvent":
        """Return the `down` that ends this `up` where the program did not live to emit it."""
        return replace(
            self,
            sequence=self.sequence + 1,
            state=CameraState.STOPPED,
            happened_at=now,
            recorded_at=now,
            duration_seconds=None,
            error="the program was killed or lost power, which its next start noticed",
            error_code=reason.value,
        )


AnyEvent = Event | CameraEvent
"""What the outbox stores, and sinks deliver."""
