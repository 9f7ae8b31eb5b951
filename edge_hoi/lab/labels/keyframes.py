"""Boxes at some frames, and linear interpolation between them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edge_hoi.errors import DatasetError
from edge_hoi.types import Boxes, Ids

MAX_BOXES = 1 << 20
"""Of all tracks of a video: eight an hour at 36 frames per second, which a ground truth of at most `files.MAX_VALUES` can hold."""
_DIGITS = 2


def check_boxes(count: int) -> int:
    """Return a number of boxes that labels can have.

    Raises:
        DatasetError: It is larger than `MAX_BOXES`.
    """
    if count > MAX_BOXES:
        raise DatasetError(f"the labels have more than {MAX_BOXES} boxes; end tracks where they leave the view, or cut the video")
    return count


def frames_in(spans: Iterable[tuple[int, int]], known: int) -> Ids:
    """Return the frames of spans, ascending, each once.

    Args:
        spans: Their first frames and ends, in any order; they may overlap.
        known: How many boxes other tracks have.

    Raises:
        DatasetError: There are too many with these.
    """
    parts, last = [range(0)], 0
    for begin, end in sorted(spans):
        parts.append(range(max(begin, last), end))
        last = max(last, end)
    check_boxes(known + sum(map(len, parts)))
    return np.concatenate([np.arange(part.start, part.stop, dtype=np.int64) for part in parts])


def fill(keyframes: Mapping[int, Sequence[float]], frames: Sequence[int] | Ids) -> tuple[Ids, Boxes]:
    """Interpolate boxes; before the first keyframe and after the last one they stay.

    Args:
        keyframes: Boxes `[left, top, right, bottom]` by frame, at least one unless there are no frames.
        frames: Where boxes are wanted.

    Returns:
        `(n,)` the frames, ascending, and `(n, 4)` their boxes, rounded to a hundredth of a pixel.
    """
    wanted = np.unique(np.array(frames, np.int64))
    if not len(wanted):
        return wanted, np.zeros((0, 4), np.float32)
    known = sorted(keyframes)
    boxes = np.array([keyframes[frame] for frame in known], np.float64)
    edges = [np.interp(wanted, known, boxes[:, edge]) for edge in range(4)]
    return wanted, np.stack(edges, axis=1).round(_DIGITS).astype(np.float32)


def visible_spans(frames: Ids) -> list[slice]:
    """Return the runs of consecutive frames, as slices of the array."""
    breaks = (np.flatnonzero(np.diff(frames) > 1) + 1).tolist()
    return [slice(begin, end) for begin, end in zip([0, *breaks], [*breaks, len(frames)], strict=True) if end > begin]


def thin(frames: Ids, boxes: Boxes, tolerance: float) -> list[int]:
    """Choose frames so that interpolation deviates by at most `tolerance` pixels (Ramer 1972, Douglas and Peucker 1973).

    Args:
        frames: `(n,)` consecutive frames, n at least 1.
        boxes: `(n, 4)`.
        tolerance: In pixels.

    Returns:
        Ascending indices into them; the first and the last are always among them.
    """
    kept = {0, len(frames) - 1}
    open_spans = [(0, len(frames) - 1)]
    while open_spans:
        begin, end = open_spans.pop()
        if end - begin < 2:
            continue
        shares = (frames[begin : end + 1, None] - frames[begin]) / (frames[end] - frames[begin])
        deviation = np.abs(boxes[begin] + shares * (boxes[end] - boxes[begin]) - boxes[begin : end + 1]).max(axis=1)
        worst = begin + int(deviation.argmax())
        if deviation[worst - begin] > tolerance:
            kept.add(worst)
            open_spans += [(begin, worst), (worst, end)]
    return sorted(kept)
