"""Track people and objects over time.

In: a frame and its `Interactions`. Out: `TrackedInteractions`, with track ids.
"""

from edge_hoi.tracking.tracker import Tracker, TrackerSettings

__all__ = ["Tracker", "TrackerSettings"]
