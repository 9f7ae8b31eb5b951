"""Scripted videos, each a function of its seed alone, with all that is true of each of their frames."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_hoi.lab.synthetic.backdrops import paint_backdrop
from edge_hoi.lab.synthetic.camera import Camera, draw_camera_look
from edge_hoi.lab.synthetic.canvas import Canvas
from edge_hoi.lab.synthetic.director import Director
from edge_hoi.lab.synthetic.scenes import Deed, Picture, Prop, Seen, draw_scene
from edge_hoi.types import Image

WIDTH, HEIGHT = 576, 320
FRAME_RATES = (5, 8, 10, 12, 15, 15, 20, 25, 25, 30)
VIDEO_SEED = 50
"""Tells videos from the splits of pictures: no seed is shared."""

_SHAKE = 3  # pixels


@dataclass(frozen=True, slots=True)
class StoryFrame:
    """What is true of one frame of a video.

    Attributes:
        index: Its number, counting those that are missing.
        seen: By identity, all of which anything can be seen, where the camera shows it.
        drawn: By identity, the pixels drawn inside the picture, whatever hides them.
        deeds: All that is done, seen or not.
    """

    index: int
    seen: Mapping[int, Seen]
    drawn: Mapping[int, int]
    deeds: Sequence[Deed]


class Story:
    """A video's script.

    Args:
        seed: Names it.
        seconds: How long it is.
        fps: Frames a second; chosen by the seed if not given.
        drops: Whether frames go missing now and then, as on a bad line.

    Attributes:
        fps: Frames a second.
        seconds: How long it is.
        gaps: From when to when there are no frames.

    Raises:
        ConfigError: It is so long that there are more people and things in it than can be told apart.
    """

    def __init__(self, seed: int, *, seconds: float = 90.0, fps: int | None = None, drops: bool = True) -> None:
        rng = np.random.default_rng((VIDEO_SEED, seed))
        self._seed, self.seconds = seed, seconds
        chosen = int(rng.choice(FRAME_RATES))
        self.fps = fps or chosen
        horizon = rng.uniform(0.22, 0.42) * HEIGHT
        small = paint_backdrop(WIDTH // 2, HEIGHT // 2, horizon / 2, rng)
        self._backdrop: Image = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
        self._look = draw_camera_look(rng)
        self._is_shaken = bool(rng.random() < 0.4)
        self._cast = Director(rng, WIDTH, HEIGHT, horizon, seconds)
        self.gaps = _gaps(seconds, rng) if drops else []

    @property
    def frames(self) -> int:
        """Number of frames, those missing included."""
        return round(self.seconds * self.fps)

    def moments(self) -> Iterator[tuple[Image, StoryFrame]]:
        """Draw the video, frame by frame, without those that are missing.

        Yields:
            `(HEIGHT, WIDTH, 3)` uint8 RGB, and what is true of it.
        """
        rng = np.random.default_rng((VIDEO_SEED, self._seed, 1))
        camera = Camera(self._look, WIDTH, HEIGHT, rng)
        shift = np.zeros(2)
        for index in range(self.frames):
            time = index / self.fps
            if self._is_shaken:
                shift = 0.8 * shift + rng.normal(0, 0.7, 2)
            if any(start <= time < end for start, end in self.gaps):
                continue
            picture, _ = self._draw(time)
            right, down = (int(np.clip(round(value), -_SHAKE, _SHAKE)) for value in shift)
            image = picture.image
            if right or down:
                moved = np.array([[1, 0, right], [0, 1, down]], np.float32)
                image = cv2.warpAffine(image, moved, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
            yield camera.take(image), StoryFrame(index, _moved(picture.seen, right, down), picture.drawn, picture.deeds)

    def still(self, time: float) -> tuple[Image, Picture, set[int]]:
        """Draw one moment, the camera at rest.

        Args:
            time: When, in seconds.

        Returns:
            `(HEIGHT, WIDTH, 3)` uint8 RGB, what was drawn, and the identities of what nobody uses.
        """
        picture, loose = self._draw(time)
        camera = Camera(self._look, WIDTH, HEIGHT, np.random.default_rng((VIDEO_SEED, self._seed, 2, round(1000 * time))))
        return camera.take(picture.image), picture, loose

    def _draw(self, time: float) -> tuple[Picture, set[int]]:
        actors = [actor for actor in (role.at(time) for role in self._cast.roles) if actor is not None]
        used = {thing.identity for actor in actors for thing in actor.belongings.values()}
        props: list[Prop] = [rest.prop for rest in self._cast.resting if rest.start <= time < rest.end]
        props = [prop for prop in props if prop.thing.identity not in used]
        picture = draw_scene(Canvas(self._backdrop.copy(), 1), actors, props, self._cast.tables)
        return picture, {prop.thing.identity for prop in props}


def _gaps(seconds: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    times = np.cumsum(rng.uniform(12, 30, 1 + int(seconds / 12)))
    return [(float(time), float(time + rng.uniform(0.3, 0.9))) for time in times if time < seconds - 2]


def _moved(seen: Mapping[int, Seen], right: int, down: int) -> dict[int, Seen]:
    """Say where the camera shows what it was shaken away from; what it lost altogether is left out."""
    moved = {}
    for identity, one in seen.items():
        left, top, far, low = one.box
        box = (max(0.0, left + right), max(0.0, top + down), min(float(WIDTH), far + right), min(float(HEIGHT), low + down))
        if box[0] < box[2] and box[1] < box[3]:
            moved[identity] = replace(one, box=box)
    return moved
