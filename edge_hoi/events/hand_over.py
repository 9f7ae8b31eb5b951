"""Hand-overs: an object with which one person's episode ends and another person's begins."""

from collections import deque
from collections.abc import Iterable

import numpy as np

from edge_hoi.boxes import pairwise_iou
from edge_hoi.events.episode import SAME_OBJECT_IOU, Episode
from edge_hoi.types import EpisodeLink

_ENDED_KEPT = 32


class HandOvers:
    """Links the episodes of the giver and of the receiver of an object.

    The receiver's began within some seconds of the giver's last evidence, after the giver's had begun, and has later evidence. The object
    is the same: one track, or overlapping boxes of one category at the receiver's start and the giver's end. Of several episodes those of
    the same HOI category precede, then those nearest in time.
    """

    def __init__(self, seconds: float) -> None:
        """Start without episodes.

        Args:
            seconds: Most time between the giver's last evidence and the receiver's first, in either order; 0 for no links.
        """
        self._seconds = seconds
        self._ended: deque[Episode] = deque(maxlen=_ENDED_KEPT)

    def start(self, receiver: Episode) -> None:
        """Link an episode that is about to start with its giver's, if that has ended."""
        giver = self._nearest(receiver, ((giver, receiver) for giver in self._ended))
        if giver is not None and giver.last_event is not None:
            receiver.received_from = EpisodeLink(giver.last_event.event_id, giver.key[0])

    def end(self, giver: Episode, others: Iterable[Episode]) -> None:
        """Link an episode that is about to end with its receiver's, if that is among the others and has started."""
        self._ended.append(giver)
        receiver = self._nearest(giver, ((giver, other) for other in others if other.last_event))
        if receiver is not None and receiver.last_event is not None and giver.last_event is not None:
            giver.handed_to = EpisodeLink(receiver.last_event.event_id, receiver.key[0])
            receiver.received_from = receiver.received_from or EpisodeLink(giver.last_event.event_id, giver.key[0])

    def _nearest(self, episode: Episode, pairs: Iterable[tuple[Episode, Episode]]) -> Episode | None:
        """Return the best partner of an episode among pairs of giver and receiver."""
        found = [pair for pair in pairs if self._is_hand_over(*pair)]
        if not found:
            return None
        giver, receiver = min(found, key=lambda pair: (pair[0].key[2] != pair[1].key[2], abs(pair[1].first.seconds - pair[0].last.seconds)))
        return receiver if episode is giver else giver

    def _is_hand_over(self, giver: Episode, receiver: Episode) -> bool:
        begun = receiver.first.seconds
        is_in_time = (
            abs(begun - giver.last.seconds) <= self._seconds and giver.first.seconds < begun and receiver.last.seconds > giver.last.seconds
        )
        is_other_person = (
            giver.key[0] not in (receiver.key[0], *receiver.merged_track_ids) and receiver.key[0] not in giver.merged_track_ids
        )
        return self._seconds > 0 and is_in_time and is_other_person and _is_same_object(giver, receiver)


def _is_same_object(giver: Episode, receiver: Episode) -> bool:
    if giver.object is None or receiver.object is None or giver.object.category != receiver.object.category:
        return False
    if giver.key[1] == receiver.key[1]:
        return True
    boxes = receiver.start_boxes
    if boxes is None or boxes.object is None:
        return False
    one, two = np.array([giver.object.box], np.float32), np.array([boxes.object], np.float32)
    return pairwise_iou(one, two).item() >= SAME_OBJECT_IOU
