"""Scripted videos: people come, take up things, use them, pass them on, hide one another and leave, and all of it is known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_hoi.synthetic.backdrops import paint_backdrop
from edge_hoi.synthetic.camera import Camera, draw_camera_look
from edge_hoi.synthetic.canvas import Canvas
from edge_hoi.synthetic.roles import Director
from edge_hoi.synthetic.scenes import LEAST_SHARE, Picture, draw_scene
from edge_hoi.types import HUMAN_CATEGORY, Image

WIDTH, HEIGHT = 576, 320
FRAME_RATES = (5, 8, 10, 12, 15, 15, 20, 25, 25, 30)
VIDEO_SEED = 50

CROSSING, OCCLUSION, DROPOUT = "crossing", "occlusion", "dropout"

_SHAKE = 3
_GAP_SECONDS = 1.0
_SHORTEST_SECONDS = 1.0


@dataclass(frozen=True)
class Shot:
    """One frame of a video.

    Attributes:
        index: Its number, counting those that are missing.
        image: `(HEIGHT, WIDTH, 3)` uint8 RGB.
        picture: What was drawn, before the camera shook.
        shift: Pixels right and down that the camera shook it by.
    """

    index: int
    image: Image = field(repr=False)
    picture: Picture = field(repr=False)
    shift: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Episode:
    """What somebody did with something for a while.

    Attributes:
        human: Identity.
        object: Identity.
        verb: Name of the verb.
        category: Name of the object.
        start: Media time in seconds.
        end: Media time in seconds.
        difficulties: What makes it hard to see.
    """

    human: int
    object: int
    verb: str
    category: str
    start: float
    end: float
    difficulties: tuple[str, ...]


class Story:
    """A video's script; a function of its seed.

    Args:
        seed: Names it.
        seconds: How long it is.
        fps: Frames a second; chosen by the seed if not given.
        drops: Whether frames go missing now and then, as on a bad line.

    Attributes:
        fps: Frames a second.
        seconds: How long it is.
    """

    def __init__(self, seed: int, *, seconds: float = 90.0, fps: int | None = None, drops: bool = True) -> None:
        rng = np.random.default_rng((VIDEO_SEED, seed))
        self.seconds = seconds
        self.fps = fps or int(rng.choice(FRAME_RATES))
        horizon = rng.uniform(0.22, 0.42) * HEIGHT
        small = paint_backdrop(WIDTH // 2, HEIGHT // 2, horizon / 2, rng)
        self._backdrop = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        self._camera = Camera(draw_camera_look(rng), WIDTH, HEIGHT, rng)
        self._shakes = bool(rng.random() < 0.4)
        self._cast = Director(rng, WIDTH, HEIGHT, horizon, seconds)
        self._write(rng)
        self._missing = self._drops(rng) if drops else []
        self._rng = rng

    def _write(self, rng: np.random.Generator) -> None:
        """Fill the video with roles, about two people at a time."""
        cast = self._cast
        cast.scatter(int(rng.integers(0, 3)))
        for spot in rng.permutation((0.22, 0.5, 0.78))[:2] * WIDTH:
            start = rng.uniform(-4, 6)
            while start < self.seconds - 8:
                deed = (cast.busy, cast.busy, cast.phone, cast.sit, cast.sit, cast.hand_over)[rng.integers(6)]
                deed(start, float(spot))
                start = max(role.end for role in cast.roles[-2:]) + rng.uniform(0, 4)
                if deed == cast.sit:
                    break  # the seat stays there; nobody else may stand in it
        start = rng.uniform(0, 8)
        while start < self.seconds - 5:
            cast.cross(start)
            start += rng.uniform(6, 16)

    def _drops(self, rng: np.random.Generator) -> list[tuple[float, float]]:
        times = np.cumsum(rng.uniform(12, 30, 12))
        return [(float(time), float(time + rng.uniform(0.3, 0.9))) for time in times if time < self.seconds - 2]

    @property
    def frames(self) -> int:
        """Number of frames, those missing included."""
        return int(self.seconds * self.fps)

    def shots(self) -> Iterator[Shot]:
        """Draw the video, frame by frame, without those that are missing."""
        shift = np.zeros(2)
        for index in range(self.frames):
            time = index / self.fps
            shift = 0.8 * shift + self._rng.normal(0, 0.7, 2) if self._shakes else shift
            if any(start <= time < end for start, end in self._missing):
                continue
            actors = [actor for actor in (role.at(time) for role in self._cast.roles) if actor is not None]
            props = [rest.prop for rest in self._cast.resting if rest.start <= time < rest.end]
            used = {thing.identity for actor in actors for thing in actor.belongings.values()}
            props = [prop for prop in props if prop.thing.identity not in used]
            picture = draw_scene(Canvas(self._backdrop.copy(), 1), actors, props, self._cast.tables)
            right, down = (int(np.clip(round(value), -_SHAKE, _SHAKE)) for value in shift)
            image = picture.image
            if right or down:
                image = cv2.warpAffine(image, np.float32([[1, 0, right], [0, 1, down]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
            yield Shot(index, self._camera.take(image), picture, (right, down))

    def is_missing(self, time: float) -> bool:
        """Tell whether there is no frame at a time."""
        return any(start <= time < end for start, end in self._missing)


def episodes_of(shots: Sequence[tuple[int, Picture]], fps: float, missing: Sequence[tuple[float, float]] = ()) -> list[Episode]:
    """Tell the episodes from what was drawn.

    Somebody does something from when the script says so and both are mostly in the picture; what hides them for a while does not end it.

    Args:
        shots: Index and picture of each frame.
        fps: Frames a second.
        missing: From when to when there are no frames.

    Returns:
        By start; those shorter than a second are left out.
    """
    whole: dict[int, int] = {}
    for _, picture in shots:
        for identity, pixels in picture.drawn.items():
            whole[identity] = max(whole.get(identity, 0), pixels)
    times: dict[tuple[int, int, str, str], list[int]] = {}
    for index, picture in shots:
        inside = {identity for identity, pixels in picture.drawn.items() if pixels >= LEAST_SHARE * whole[identity]}
        for deed in picture.deeds:
            if deed.human in inside and deed.object in inside:
                for verb in deed.verbs:
                    times.setdefault((deed.human, deed.object, verb, deed.category), []).append(index)
    pictures = dict(shots)
    found = []
    for (human, thing, verb, category), indices in times.items():
        for run in _runs(indices, round(_GAP_SECONDS * fps)):
            start, end = run[0] / fps, (run[-1] + 1) / fps
            if end - start >= _SHORTEST_SECONDS:
                hard = _difficulties([pictures[index] for index in run], human, thing, fps)
                if any(start < last and first < end for first, last in missing):
                    hard.append(DROPOUT)
                found.append(Episode(human, thing, verb, category, start, end, tuple(hard)))
    return sorted(found, key=lambda episode: (episode.start, episode.human, episode.object, episode.verb))


def _runs(indices: Sequence[int], gap: int) -> Iterator[list[int]]:
    """Split ascending numbers where more than `gap` are missing."""
    run = [indices[0]]
    for index in indices[1:]:
        if index - run[-1] > gap + 1:
            yield run
            run = []
        run.append(index)
    yield run


def _difficulties(pictures: Sequence[Picture], human: int, thing: int, fps: float) -> list[str]:
    hidden = crossed = 0
    for picture in pictures:
        shares = [picture.seen[identity].share if identity in picture.seen else 0.0 for identity in (human, thing)]
        hidden += min(shares) < LEAST_SHARE
        crossed += _is_crossed(picture, human)
    least = max(1.0, 0.3 * fps)
    return [name for name, count in ((CROSSING, crossed), (OCCLUSION, hidden)) if count >= least]


def _is_crossed(picture: Picture, human: int) -> bool:
    """Tell whether another person's box covers much of somebody's."""
    if human not in picture.seen:
        return False
    box = picture.seen[human].box
    area = (box[2] - box[0]) * (box[3] - box[1])
    others: Mapping[int, float] = {
        other.identity: max(0.0, min(box[2], other.box[2]) - max(box[0], other.box[0]))
        * max(0.0, min(box[3], other.box[3]) - max(box[1], other.box[1]))
        for other in picture.seen.values()
        if other.category == HUMAN_CATEGORY and other.identity != human
    }
    return any(common > 0.3 * area for common in others.values())
