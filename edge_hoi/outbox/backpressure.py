"""Which events are dropped while the disk accepts no writes and the limit of events in memory is reached."""

from edge_hoi.types import AnyEvent, Phase


class Backpressure:
    """Counts the events held in memory, and decides which further events are accepted.

    At the limit, updates are dropped first, then whole episodes. The end of an episode whose start was accepted is always accepted, so
    that every start has its end. At most the limit plus the number of open episodes is held.

    Attributes:
        held: Events accepted and not yet released.
        dropped: Events dropped so far.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self.dropped = 0
        self._limit = limit
        self._dropped_episodes: set[str] = set()

    @property
    def has_room(self) -> bool:
        """Whether any event would be accepted."""
        return self.held < self._limit

    def accepts(self, event: AnyEvent) -> bool:
        """Decide on an event, and count it; the events of an episode must come in order."""
        if event.event_id not in self._dropped_episodes and (self.has_room or event.phase is Phase.ENDED):
            self.held += 1
            return True
        if event.phase is Phase.STARTED:
            self._dropped_episodes.add(event.event_id)
        elif event.phase is Phase.ENDED:
            self._dropped_episodes.discard(event.event_id)
        self.dropped += 1
        return False

    def release(self, count: int) -> None:
        """Stop counting events that are on disk."""
        self.held -= count
