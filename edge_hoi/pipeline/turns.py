"""Whose frame comes next on an engine that several cameras share."""

from collections.abc import Iterable

from edge_hoi.pipeline.camera import Camera


class Turns:
    """Orders cameras so that each gets its share of the engine, by its priority.

    Start-time fair queueing (Goyal, Vin and Cheng, "Start-time Fair Queuing", SIGCOMM 1996): each detection of a camera moves its tag on by
    1 / priority, and the lowest tag is next. A camera that had no frames for a while gets no more than others for it.
    """

    def __init__(self) -> None:
        """Let all begin alike."""
        self._tags: dict[Camera, float] = {}
        self._now = 0.0

    def order(self, cameras: Iterable[Camera]) -> list[Camera]:
        """Return cameras, the next one first; equal ones as they were given."""
        return sorted(cameras, key=lambda camera: self._tags.get(camera, 0.0))

    def count(self, camera: Camera) -> None:
        """Count a detection of a camera."""
        self._now = max(self._now, self._tags.get(camera, 0.0))
        self._tags[camera] = self._now + 1 / camera.priority
