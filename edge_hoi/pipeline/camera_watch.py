"""Turn the states of live cameras into events, few of them: one when a camera goes, and one when it is back."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from edge_hoi.compat import UTC
from edge_hoi.pipeline.camera import Camera
from edge_hoi.types import CameraEvent, CameraState

PAUSE_SECONDS = 60.0
"""A camera that has come back is not reported down again before."""
_MAX_ERROR_LENGTH = 1000
_FINAL = ("ended", "stopped", "failed")
_now = partial(datetime.now, UTC)


@dataclass(slots=True)
class _Watched:
    """What is known of one camera.

    Attributes:
        is_up: Whether it streams; None before that is known.
        changed_at: When that changed: UTC, and seconds of a monotonic clock.
        reported: Its newest event.
        reported_seconds: When what that event says began, by the monotonic clock.
        was_away: Whether its newest event is an `up` after a `down`.
        count: How many times it was reported up.
    """

    is_up: bool | None = None
    changed_at: tuple[datetime, float] | None = None
    reported: CameraEvent | None = None
    reported_seconds: float = 0.0
    was_away: bool = False
    count: int = 0


class CameraWatch:
    """Follows live cameras; recordings have no such events, as theirs depend on the file only."""

    def __init__(
        self,
        site: str,
        *,
        wall_clock: Callable[[], datetime] = _now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without knowing any camera's state.

        Args:
            site: Name of the site.
            wall_clock: Returns UTC.
            clock: Returns seconds that only grow.
        """
        self._site = site
        self._wall_clock = wall_clock
        self._clock = clock
        self._run_key = wall_clock().isoformat()
        self._watched: dict[str, _Watched] = {}

    def update(self, cameras: Iterable[Camera]) -> list[CameraEvent]:
        """Return the events of cameras that have come or gone since; call it often."""
        events = [self._update(camera) for camera in cameras if not camera.is_recording]
        return [event for event in events if event is not None]

    def _update(self, camera: Camera) -> CameraEvent | None:
        watched = self._watched.setdefault(camera.source_id, _Watched())
        state, now = camera.state, self._clock()
        if state != "connecting" and watched.is_up != (state == "streaming"):
            watched.is_up = state == "streaming"
            watched.changed_at = (self._wall_clock(), now)
        was_up = watched.reported and watched.reported.state is CameraState.STREAMING
        if state == "connecting" or watched.is_up == was_up or watched.changed_at is None:
            return None
        is_early = now - watched.reported_seconds < PAUSE_SECONDS
        if was_up and watched.was_away and is_early and state not in _FINAL:
            return None
        return self._report(camera, CameraState(state), watched, watched.changed_at)

    def _report(self, camera: Camera, state: CameraState, watched: _Watched, changed_at: tuple[datetime, float]) -> CameraEvent:
        before = watched.reported
        is_end = before is not None and before.state is CameraState.STREAMING
        watched.count += not is_end
        code = getattr(camera.failure or camera.reader.error, "code", None)
        text = (camera.status().error or "").encode(errors="replace").decode()[:_MAX_ERROR_LENGTH]  # of names that are no UTF-8
        watched.was_away = before is not None and not is_end
        watched.reported = CameraEvent(
            event_id=before.event_id if before is not None and is_end else self._event_id(camera.source_id, watched.count),
            sequence=int(is_end),
            site=self._site,
            camera=camera.source_id,
            state=state,
            happened_at=changed_at[0],
            recorded_at=self._wall_clock(),
            duration_seconds=changed_at[1] - watched.reported_seconds if before is not None else None,
            error=None if watched.is_up else text or None,
            error_code=code if isinstance(code, str) and not watched.is_up else None,
        )
        watched.reported_seconds = changed_at[1]
        return watched.reported

    def _event_id(self, camera: str, count: int) -> str:
        content = [self._site, camera, self._run_key, "camera", count]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
