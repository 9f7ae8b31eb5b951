"""Follow persons and objects through time: `Tracker.update(frame, interactions) -> TrackedInteractions`."""

from edge_hoi.tracking.tracker import Tracker, TrackerSettings

__all__ = ["Tracker", "TrackerSettings"]
