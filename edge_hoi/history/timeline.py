"""A picture of episodes over time: a row for each interaction of a camera, a bar for each episode, and thumbnails of snapshots."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from edge_hoi.errors import ConfigError
from edge_hoi.history.episode import PastEpisode
from edge_hoi.history.selection import Selection
from edge_hoi.history.shapes import Line, Photo, Rectangle, Shape, Text, shorten, text_width, write_shapes
from edge_hoi.history.thumbnails import load_thumbnail
from edge_hoi.history.time_axis import TimeAxis
from edge_hoi.unfinished import writing_output

SUFFIXES = (".png", ".svg", ".html")
MOST_ROWS = 60
_MOST_LANES = 4
_MOST_CANDIDATES = 60
_MARKS = 12
_WIDTH, _MARGIN, _LABEL = 1400, 24, 300
_LANE, _GAP, _HEADER = 16, 6, 30
_PHOTO = (150, 100)
_PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800")
"""Okabe and Ito's colours (2008), which the colour-blind can tell apart; the yellow is darker, for a white ground."""
_OTHERS, _GREY, _GRID, _BLACK = "#999999", "#666666", "#e2e2e2", "#000000"
_RowKey = tuple[str, str]


@dataclass(slots=True)
class _Bar:
    """One episode, or several that are closer than a pixel."""

    left: float
    right: float
    episode: PastEpisode
    count: int = 1
    has_rule: bool = False


@dataclass(slots=True)
class _Row:
    """Bars of an interaction of a camera; episodes at the same time have lanes of their own."""

    count: int = 0
    lanes: list[list[_Bar]] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)

    def add(self, episode: PastEpisode, axis: TimeAxis) -> None:
        """Add an episode, by start."""
        lane = next((index for index, end in enumerate(self.ends) if end <= episode.start), None)
        if lane is None and len(self.lanes) < _MOST_LANES:
            lane = len(self.lanes)
            self.lanes.append([])
            self.ends.append(episode.last)
        elif lane is None:
            lane = self.ends.index(min(self.ends))
        self.ends[lane] = max(self.ends[lane], episode.last)
        left = axis.x(episode.start)
        right = max(axis.x(episode.last), left + (8 if episode.rule else 3))  # as wide as its outline needs
        bars = self.lanes[lane]
        if bars and left < bars[-1].right + 1:
            bars[-1].right = max(bars[-1].right, right)
            bars[-1].count += 1
        else:
            bars.append(_Bar(left, right, episode))
        bars[-1].has_rule |= episode.rule is not None

    @property
    def height(self) -> int:
        """In pixels, with the gap below it."""
        return max(1, len(self.lanes)) * _LANE + _GAP


def check_timeline(path: Path) -> None:
    """Raise `ConfigError` if a picture's suffix is none of `SUFFIXES`."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path}: expected the suffix {', '.join(SUFFIXES)} of a timeline; choose one")


def write_timeline(
    episodes: Iterable[PastEpisode], path: Path, selection: Selection, *, media: Path | None, note: Callable[[str], None]
) -> None:
    """Draw episodes.

    Episodes without a clock are drawn if there are no others, over media time. Rows beyond `MOST_ROWS` are left out, those of the fewest
    episodes first, and snapshots that are not there are.

    Args:
        episodes: By start; iterated three times.
        path: The picture: .png, .svg or .html, which has thumbnails that lead to their images, and details under the pointer.
        selection: Its `since` and `until` are the ends of the axis, where given.
        media: Folder of the snapshots; None for the place that the events name.
        note: Called with messages for the user.

    Raises:
        ConfigError: The suffix is another, or the file cannot be written.
    """
    check_timeline(path)
    counts: Counter[_RowKey] = Counter()
    verbs: Counter[str] = Counter()
    without_clock = Counter(each.is_relative for each in episodes)
    is_relative = not without_clock[False]
    if without_clock[True] and not is_relative:
        note(f"the timeline lacks {without_clock[True]} episodes without a clock; name only their files to draw them")
    start = end = None
    for episode in _drawn(episodes, is_relative):
        counts[episode.camera, episode.text] += 1
        verbs[episode.verb] += 1
        start, end = min(start or episode.start, episode.start), max(end or episode.last, episode.last)
    assert start is not None
    assert end is not None
    start, end = selection.since or start, selection.until or end
    axis = _axis(start, end, is_relative=is_relative)
    rows = {key: _Row(count) for key, count in sorted(counts.most_common(MOST_ROWS))}
    candidates: dict[str, list[tuple[tuple[float, ...], int, PastEpisode]]] = {}
    for number, episode in enumerate(_drawn(episodes, is_relative)):
        key = (episode.camera, episode.text)
        if key not in rows:
            continue
        rows[key].add(episode, axis)
        if episode.snapshot:
            rank = (float(episode.severity == "alert"), float(episode.rule is not None), episode.score_peak, episode.seconds)
            heap = candidates.setdefault(episode.camera, [])
            (heapq.heappushpop if len(heap) >= _MOST_CANDIDATES else heapq.heappush)(heap, (rank, number, episode))
    colours = dict(zip([verb for verb, _ in verbs.most_common(len(_PALETTE))], _PALETTE, strict=False))
    photos = {camera: _photos([each for *_, each in sorted(heap, reverse=True)], axis, media) for camera, heap in candidates.items()}
    if candidates and not any(photos.values()):
        note("the timeline has no thumbnails: the snapshots are not where the events say; name their folder with --media")
    left_out = sum(counts.values()) - sum(row.count for row in rows.values())
    rest = f"; {left_out} episodes of {len(counts) - len(rows)} other rows are not shown" if left_out else ""
    title = f"{sum(counts.values())} episodes, {axis.label(start)} to {axis.label(end)}{rest}"
    shapes, height = _draw(rows, axis, photos, colours, title, has_others=len(verbs) > len(colours))
    try:
        with writing_output(path) as unfinished:
            write_shapes(unfinished, path.suffix.lower(), shapes, _WIDTH, height, title)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}; name a file in a writable folder") from error


def _drawn(episodes: Iterable[PastEpisode], is_relative: bool) -> Iterator[PastEpisode]:
    return (each for each in episodes if each.is_relative == is_relative)


def _axis(start: datetime, end: datetime, *, is_relative: bool) -> TimeAxis:
    end = max(end, start + timedelta(seconds=1))
    margin = (end - start) / 200
    return TimeAxis(start if is_relative else start - margin, end + margin, _LABEL, _WIDTH - _LABEL - _MARGIN, is_relative)


def _photos(candidates: Sequence[PastEpisode], axis: TimeAxis, media: Path | None) -> list[tuple[PastEpisode, Photo]]:
    """Place the thumbnails of a camera beside each other, the most important first, each as near to its episode as there is space."""
    placed: list[tuple[PastEpisode, Photo]] = []
    for episode in candidates:
        middle = (axis.x(episode.start) + axis.x(episode.last)) / 2
        left = min(max(axis.left, middle - _PHOTO[0] / 2), axis.left + axis.width - _PHOTO[0])
        if any(abs(photo.left - left) < _PHOTO[0] + 8 for _, photo in placed):
            continue
        assert episode.snapshot
        thumbnail = load_thumbnail(episode.snapshot, media, _PHOTO)
        if thumbnail:
            jpeg, width, height = thumbnail
            inset = left + (_PHOTO[0] - width) / 2
            placed.append((episode, Photo(inset, 0, width, height, jpeg, "", _details(episode, axis), episode.snapshot.uri)))
    return placed


def _draw(
    rows: dict[_RowKey, _Row],
    axis: TimeAxis,
    photos: dict[str, list[tuple[PastEpisode, Photo]]],
    colours: dict[str, str],
    title: str,
    *,
    has_others: bool,
) -> tuple[list[Shape], int]:
    """Lay out all shapes; return them with the picture's height."""
    bottom = 92
    grid_top = bottom
    shapes: list[Shape] = []
    bars: list[Shape] = []
    camera = None
    for (name, text), row in rows.items():
        if name != camera:
            camera = name
            own = photos.get(name, [])
            strip = max((round(photo.height) + 20 for _, photo in own), default=0)
            bars.append(Text(_MARGIN, bottom + _HEADER / 2, shorten(name or "-", 15, _LABEL - _MARGIN), 15))
            bars.append(Line(_MARGIN, bottom + 2, _WIDTH - _MARGIN, bottom + 2, "#bbbbbb"))
            strip_top, bottom = bottom + 10, bottom + max(_HEADER, strip)
        for episode, photo in (each for each in own if each[0].text == text):
            line, placed = _placed_photo(episode, photo, strip_top, bottom, axis, colours)
            shapes.append(line)
            bars.append(placed)
        bars.append(Text(_LABEL - 12, bottom + _LANE / 2, shorten(text, 12, _LABEL - _MARGIN - 30), 12, anchor="end"))
        for lane, of_lane in enumerate(row.lanes):
            bars += [_bar(each, bottom + lane * _LANE, axis, colours) for each in of_lane]
        bottom += row.height
    shapes.append(Text(_MARGIN, 22, shorten(title, 16, _WIDTH - 2 * _MARGIN), 16))
    has_rule = any(bar.has_rule for row in rows.values() for lane in row.lanes for bar in lane)
    shapes += _legend(colours, has_others=has_others, has_rule=has_rule)
    for x, label, date in axis.marks(_MARKS):
        shapes += [Line(x, grid_top, x, bottom, _GRID), Text(x, grid_top - 8, label or date, 11, _GREY, "middle")]
        if date and label:
            shapes.append(Text(x, grid_top - 22, date, 11, _GREY, "middle"))
    return [*shapes, *bars], bottom + 12


def _legend(colours: dict[str, str], *, has_others: bool, has_rule: bool) -> Iterator[Shape]:
    x = float(_MARGIN)
    entries: list[tuple[str, str, str | None]] = [(verb, colour, None) for verb, colour in colours.items()]
    entries += [("other verbs", _OTHERS, None)] if has_others else []
    entries += [("a rule matched", "#ffffff", _BLACK)] if has_rule else []
    for name, colour, outline in entries:
        name = shorten(name.replace("_", " "), 12, 140)
        yield Rectangle(x, 43, 14, 12, colour, outline)
        yield Text(x + 20, 49, name, 12)
        x += 40 + text_width(name, 12)


def _bar(bar: _Bar, top: float, axis: TimeAxis, colours: dict[str, str]) -> Rectangle:
    colour = colours.get(bar.episode.verb, _OTHERS)
    details = shorten(f"{bar.count} episodes of {bar.episode.text}", 12, 900) if bar.count > 1 else _details(bar.episode, axis)
    return Rectangle(bar.left, top + 2, bar.right - bar.left, _LANE - 4, colour, _BLACK if bar.has_rule else None, details)


def _placed_photo(
    episode: PastEpisode, photo: Photo, top: float, row_top: float, axis: TimeAxis, colours: dict[str, str]
) -> tuple[Line, Photo]:
    """Place a thumbnail in its strip, with a line to its bar."""
    colour = colours.get(episode.verb, _OTHERS)
    middle = (axis.x(episode.start) + axis.x(episode.last)) / 2
    line = Line(min(max(photo.left, middle), photo.left + photo.width), top + photo.height, middle, row_top + 2, colour)
    return line, replace(photo, top=top, colour=colour)


def _details(episode: PastEpisode, axis: TimeAxis) -> str:
    lines = [
        f"{episode.text}, {episode.camera}",
        f"{axis.label(episode.start)}, {episode.seconds:.1f} s, {episode.end_reason or 'open'}",
        f"score {episode.score_peak:.2f}",
        *([f"rule {episode.rule}"] if episode.rule else []),
    ]
    return "\n".join(shorten(each, 12, 900) for each in lines)
