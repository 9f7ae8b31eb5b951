"""Zones and lines of a camera: which tracks are in a zone, and which have crossed a line.

Positions are the foot point of a person (the middle of the lower edge of the box) and the centre of an object. Both zones and lines have a
hysteresis, so that a position that jitters at a border enters or crosses once. Lengths are shares of the frame's height.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from edge_hoi.config_types import Section
from edge_hoi.errors import ConfigError
from edge_hoi.events.geometry import Point, area, do_cross, is_simple, signed_distance, turn
from edge_hoi.events.tracked_frame import FrameInfo
from edge_hoi.types import NO_TRACK, Crossing, Direction, Frame, Moment, Track, TrackedInteractions

Role = Literal["person", "object", "both"]
_Seconds = Annotated[float, Field(ge=0, le=3600)]
_Coordinate = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
_FEWEST_PIXELS = 16
_LEAST_AREA = 1e-4
_CROSSINGS_KEPT = 16


class _Shape(Section):
    """Points in an image, all as shares of its width and height, or all in pixels; pixels are those of the camera's first frame."""

    points: tuple[tuple[_Coordinate, _Coordinate], ...] = Field(
        description="Each [x, y], from the upper left corner: shares of the frame from 0 to 1, or pixels"
    )
    margin: float = Field(0.02, ge=0, le=0.5, description="Hysteresis, as a share of the frame's height")

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if 1 < max(chain(*self.points), default=0) < _FEWEST_PIXELS:
            raise ValueError("points are shares of the frame from 0 to 1, or pixels from 0 to its width and height; these are neither")
        return self

    @property
    def is_in_pixels(self) -> bool:
        """Whether the points are pixels."""
        return any(value > 1 for value in chain(*self.points))

    def scaled(self, name: str, width: int, height: int) -> tuple[Point, ...]:
        """Return the points in heights of a frame.

        Raises:
            ConfigError: They are pixels outside of the frame.
        """
        if not self.is_in_pixels:
            return tuple((x * width / height, y) for x, y in self.points)
        outside = next(((x, y) for x, y in self.points if x > width or y > height), None)
        if outside is not None:
            raise ConfigError(
                f"{name}: the point [{outside[0]:g}, {outside[1]:g}] is outside of the frame of {width}x{height}; "
                "take pixels of this stream, or shares from 0 to 1"
            )
        return tuple((x / height, y / height) for x, y in self.points)


class ZoneSettings(_Shape):
    """A polygon in a camera's image."""

    of: Role = Field("person", description="What has to be in it: person by the foot point, object by its centre, or both")
    enter_seconds: _Seconds = Field(0.2, description="A track that was outside enters once it has been inside for this long")
    leave_seconds: _Seconds = Field(0.5, description="A track leaves once it has been farther than `margin` outside for this long")

    @model_validator(mode="after")
    def _check_polygon(self) -> Self:
        if not 3 <= len(self.points) <= 64:
            raise ValueError(f"a zone is a polygon of 3 to 64 points, got {len(self.points)}")
        if not is_simple(self.points):
            raise ValueError("the border crosses itself; give the corners in their order around the zone, each once")
        if area(self.points) < (_FEWEST_PIXELS if self.is_in_pixels else _LEAST_AREA):
            raise ValueError("the zone has almost no area; its points lie on one line")
        return self


class LineSettings(_Shape):
    """A line from one point to another, with a right-hand and a left-hand side."""

    of: Literal["person", "object"] = Field("person", description="What crosses it: person by the foot point, object by its centre")

    @model_validator(mode="after")
    def _check_ends(self) -> Self:
        if len(self.points) != 2 or self.points[0] == self.points[1]:
            raise ValueError(f"a line has two different points, got {list(self.points)}; for a bend use two lines")
        return self


def _points_alone(value: Any) -> Any:  # noqa: ANN401 -- any YAML value
    """Accept a list of points for `{points: LIST}`."""
    return {"points": value} if isinstance(value, list | tuple) else value


ZoneOrPoints = Annotated[ZoneSettings, BeforeValidator(_points_alone)]
LineOrPoints = Annotated[LineSettings, BeforeValidator(_points_alone)]


def scale_shapes(
    zones: Mapping[str, ZoneSettings], lines: Mapping[str, LineSettings], width: int, height: int
) -> dict[str, tuple[Point, ...]]:
    """Return the points of all zones and lines, by `zones.NAME` and `lines.NAME`, in heights of a frame.

    Raises:
        ConfigError: Some are pixels outside of the frame.
    """
    shapes = {f"zones.{name}": zone for name, zone in zones.items()} | {f"lines.{name}": line for name, line in lines.items()}
    return {name: shape.scaled(name, width, height) for name, shape in shapes.items()}


@dataclass(slots=True)
class _Presence:
    """Whether a track is in a zone, since when, and since when its position says otherwise."""

    is_inside: bool
    since: float
    otherwise_since: float | None = None


@dataclass(slots=True)
class _Side:
    """The last position of a track that was clear of a line, and the side on which it was: positive for the right-hand one."""

    position: Point
    distance: float


class ZoneKeeper:
    """Maintains where the tracks of one camera are."""

    def __init__(self, zones: Mapping[str, ZoneSettings], lines: Mapping[str, LineSettings]) -> None:
        """Start without tracks.

        Args:
            zones: By name.
            lines: By name.
        """
        self._zones, self._lines = dict(zones), dict(lines)
        self._shapes: dict[str, tuple[Point, ...]] | None = None
        self._presences: dict[tuple[int, str], _Presence] = {}
        self._sides: dict[tuple[int, str], _Side] = {}
        self._crossings: dict[int, tuple[Crossing, ...]] = {}

    def update(self, frame: Frame, tracked: TrackedInteractions) -> None:
        """Move the tracks that are seen in a frame; a corrupt frame moves none.

        Args:
            frame: The frame.
            tracked: Its tracks.

        Raises:
            ConfigError: It is the first frame, and a zone or line in pixels is outside of it.
        """
        if self._shapes is None:
            self._shapes = scale_shapes(self._zones, self._lines, frame.width, frame.height)
        self._presences = {key: value for key, value in self._presences.items() if key[0] in tracked.tracks}
        self._sides = {key: value for key, value in self._sides.items() if key[0] in tracked.tracks}
        self._crossings = {key: value for key, value in self._crossings.items() if key in tracked.tracks}
        seen = {*tracked.human_ids.tolist(), *tracked.object_ids.tolist()} - {NO_TRACK}
        moment = FrameInfo.of(frame, seconds=frame.pts_seconds).moment
        for track_id in sorted(() if frame.is_corrupt else seen):
            self._move(tracked.tracks[track_id], frame.height, moment)

    def zones_of(self, human_id: int, object_id: int | None) -> tuple[str, ...]:
        """Return the zones that a person, an object or both are in, by each zone's `of`, in the order of the configuration.

        Args:
            human_id: The person's track.
            object_id: The object's track; None without an object, which zones of `both` then ignore.
        """
        return tuple(self.zones_since(human_id, object_id))

    def zones_since(self, human_id: int, object_id: int | None) -> dict[str, float]:
        """Return since when, in seconds of media time, they are in each of the zones of `zones_of`."""
        since = {name: self._since(name, zone.of, human_id, object_id) for name, zone in self._zones.items()}
        return {name: seconds for name, seconds in since.items() if seconds is not None}

    def crossings_of(self, human_id: int, object_id: int | None) -> Iterator[Crossing]:
        """Yield the newest crossings of the lines by a person or an object, in the order of time."""
        found = [crossing for track_id in (human_id, object_id) if track_id is not None for crossing in self._crossings.get(track_id, ())]
        yield from sorted(found, key=lambda crossing: crossing.at.pts_seconds)

    def _since(self, name: str, role: Role, human_id: int, object_id: int | None) -> float | None:
        tracks = ([] if role == "object" else [human_id]) + ([] if role == "person" or object_id is None else [object_id])
        presences = [self._presences.get((track_id, name)) for track_id in tracks]
        since = [presence.since for presence in presences if presence is not None and presence.is_inside]
        return max(since) if since and len(since) == len(tracks) else None

    def _move(self, track: Track, height: int, moment: Moment) -> None:
        assert self._shapes is not None
        left, top, right, bottom = (float(edge) / height for edge in track.box)
        position = (left + right) / 2, bottom if track.is_human else (top + bottom) / 2
        role = "person" if track.is_human else "object"
        for name, zone in self._zones.items():
            if zone.of in (role, "both"):
                distance = signed_distance(position, self._shapes[f"zones.{name}"])
                self._enter_or_leave(zone, (track.track_id, name), distance, moment.pts_seconds)
        for name, line in self._lines.items():
            if line.of == role:
                self._cross(name, line, track.track_id, position, moment)

    def _enter_or_leave(self, zone: ZoneSettings, key: tuple[int, str], distance: float, now: float) -> None:
        presence = self._presences.get(key)
        if presence is None:
            self._presences[key] = _Presence(distance >= 0, now)
            return
        is_otherwise = distance < -zone.margin if presence.is_inside else distance >= 0
        if not is_otherwise:
            presence.otherwise_since = None
            return
        if presence.otherwise_since is None:
            presence.otherwise_since = now
        if now - presence.otherwise_since >= (zone.leave_seconds if presence.is_inside else zone.enter_seconds):
            presence.is_inside, presence.since, presence.otherwise_since = not presence.is_inside, now, None

    def _cross(self, name: str, line: LineSettings, track_id: int, position: Point, moment: Moment) -> None:
        assert self._shapes is not None
        start, end = self._shapes[f"lines.{name}"]
        distance = turn(start, end, position) / math.dist(start, end)
        if abs(distance) <= line.margin:
            return
        before = self._sides.get((track_id, name))
        self._sides[track_id, name] = _Side(position, distance)
        if before is not None and before.distance * distance < 0 and do_cross(before.position, position, start, end):
            crossing = Crossing(name, Direction.TO_RIGHT if distance > 0 else Direction.TO_LEFT, moment)
            self._crossings[track_id] = (*self._crossings.get(track_id, ()), crossing)[-_CROSSINGS_KEPT:]
