"""Polygons and lines in an image: x to the right, y downwards, one unit for both."""

import math
from collections.abc import Iterator, Sequence

Point = tuple[float, float]


def turn(start: Point, end: Point, point: Point) -> float:
    """Return twice the signed area of a triangle: positive where `point` is to the right of somebody who goes from `start` to `end`."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])


def do_cross(start: Point, end: Point, other_start: Point, other_end: Point) -> bool:
    """Whether two line segments have a point in common; segments of one straight line have none."""
    sides = turn(start, end, other_start), turn(start, end, other_end)
    other_sides = turn(other_start, other_end, start), turn(other_start, other_end, end)
    return sides[0] * sides[1] <= 0 and other_sides[0] * other_sides[1] <= 0 and any((*sides, *other_sides))


def edges_of(corners: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Yield a polygon's edges."""
    yield from zip(corners, (*corners[1:], corners[0]), strict=True)


def signed_distance(point: Point, corners: Sequence[Point]) -> float:
    """Return the distance from a point to a polygon's border: positive within the polygon, negative outside of it."""
    is_within, nearest = False, math.inf
    for start, end in edges_of(corners):
        if (start[1] > point[1]) != (end[1] > point[1]):  # it crosses the height of the point: a ray to the right may cross it
            is_within ^= (turn(start, end, point) > 0) == (end[1] < start[1])
        nearest = min(nearest, _distance(point, start, end))
    return nearest if is_within else -nearest


def is_simple(corners: Sequence[Point]) -> bool:
    """Whether no two edges of a polygon cross or touch, but for neighbours in their common corner."""
    edges = list(edges_of(corners))
    last = len(edges) - 1
    return len(set(corners)) == len(corners) and not any(
        do_cross(*edges[one], *edges[other])
        for one in range(len(edges))
        for other in range(one + 2, len(edges))
        if (one, other) != (0, last)
    )


def area(corners: Sequence[Point]) -> float:
    """Return a simple polygon's area."""
    return abs(sum(start[0] * end[1] - start[1] * end[0] for start, end in edges_of(corners))) / 2


def _distance(point: Point, start: Point, end: Point) -> float:
    """Measure the distance from a point to a line segment."""
    x, y = end[0] - start[0], end[1] - start[1]
    share = ((point[0] - start[0]) * x + (point[1] - start[1]) * y) / (x * x + y * y)
    share = min(max(share, 0.0), 1.0)
    return math.hypot(point[0] - start[0] - share * x, point[1] - start[1] - share * y)
