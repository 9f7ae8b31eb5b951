"""Which events are done without when the disk takes none and memory is short."""

from edge_hoi.types import Event, Phase


class Backpressure:
    """Counts the events held in memory, and decides which more are held.

    When it is full, updates are done without first, then episodes as a whole. The end of an episode whose start was taken is always
    taken, so that every start keeps its end; what is held stays below the limit plus the number of open episodes.

    Attributes:
        held: Events taken and not yet released.
        refused: Events done without so far.
    """

    def __init__(self, most: int) -> None:
        """Start with nothing held.

        Args:
            most: How many events may be held.
        """
        self.held = 0
        self.refused = 0
        self._most = most
        self._refused_episodes: set[str] = set()

    @property
    def has_room(self) -> bool:
        """Whether any event would be taken."""
        return self.held < self._most

    def admits(self, event: Event) -> bool:
        """Decide on an event, and count it.

        Args:
            event: The event, its episode's in order.
        """
        is_of_refused = event.event_id in self._refused_episodes
        if not is_of_refused and (self.has_room or event.phase is Phase.ENDED):
            self.held += 1
            return True
        if event.phase is Phase.STARTED:
            self._refused_episodes.add(event.event_id)
        elif event.phase is Phase.ENDED:
            self._refused_episodes.discard(event.event_id)
        self.refused += 1
        return False

    def release(self, count: int) -> None:
        """Let go of events that are on disk.

        Args:
            count: How many.
        """
        self.held -= count
