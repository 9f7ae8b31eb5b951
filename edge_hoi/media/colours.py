"""Colours of the people of a video."""

from collections import Counter
from collections.abc import Iterable

from edge_hoi.media.canvas import PALETTE, Colour


class PeopleColours:
    """Gives everybody a colour for as long as they are there: no two people at the same time have the same, of up to seven."""

    def __init__(self) -> None:
        """Start without people."""
        self._colours: dict[int, Colour] = {}
        self._order = list(PALETTE)
        """The colour that was given last comes last."""

    def update(self, track_ids: Iterable[int]) -> dict[int, Colour]:
        """Return the colours of the people who are there now, by their tracks; those of others are free again."""
        present = set(track_ids)
        self._colours = {track_id: colour for track_id, colour in self._colours.items() if track_id in present}
        for track_id in sorted(present - self._colours.keys()):
            used = Counter(self._colours.values())
            colour = min(self._order, key=lambda each: used[each])
            self._order.remove(colour)
            self._order.append(colour)
            self._colours[track_id] = colour
        return dict(self._colours)
