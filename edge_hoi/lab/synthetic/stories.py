"""Scripted videos with ground truth of each frame, each a function of its seed alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge_hoi.lab.synthetic.backdrops import paint_backdrop
from edge_hoi.lab.synthetic.camera import Camera, draw_camera_look
from edge_hoi.lab.synthetic.canvas import Canvas
from edge_hoi.lab.synthetic.director import Director
from edge_hoi.lab.synthetic.scenes import Prop, Scene, SceneInteraction, VisibleObject, draw_scene
from edge_hoi.types import Image

WIDTH, HEIGHT = 576, 320
FRAME_RATES = (5, 8, 10, 12, 15, 15, 20, 25, 25, 30)
VIDEO_SEED = 50
"""Part of every video's seed, so that none shares a seed with the splits of images."""

_SHAKE = 3  # pixels


@dataclass(frozen=True, slots=True)
class StoryFrame:
    """Ground truth of one frame of a video.

    Attributes:
        index: Its number, counting missing frames.
        visible: By identity, all with a visible pixel, in the camera's view.
        drawn: By identity, the pixels drawn inside the image before occlusion.
        interactions: All, visible or not.
    """

    index: int
    visible: Mapping[int, VisibleObject]
    drawn: Mapping[int, int]
    interactions: Sequence[SceneInteraction]


class Story:
    """A video's script.

    Args:
        seed: Determines the story.
        seconds: Its length.
        fps: Frames a second; chosen by the seed if not given.
        drops: Whether some frames are missing, as on a bad network link.

    Attributes:
        fps: Frames a second.
        seconds: Its length.
        gaps: Start and end of each interval without frames.

    Raises:
        ConfigError: It needs more people and objects than one video can hold.
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
    def frame_count(self) -> int:
        """Number of frames, missing ones included."""
        return round(self.seconds * self.fps)

    def render(self) -> Iterator[tuple[Image, StoryFrame]]:
        """Render the video frame by frame, without missing frames.

        Yields:
            `(HEIGHT, WIDTH, 3)` uint8 RGB, and its ground truth.
        """
        rng = np.random.default_rng((VIDEO_SEED, self._seed, 1))
        camera = Camera(self._look, WIDTH, HEIGHT, rng)
        shift = np.zeros(2)
        for index in range(self.frame_count):
            time = index / self.fps
            if self._is_shaken:
                shift = 0.8 * shift + rng.normal(0, 0.7, 2)
            if any(start <= time < end for start, end in self.gaps):
                continue
            scene, _ = self._draw(time)
            right, down = (int(np.clip(round(value), -_SHAKE, _SHAKE)) for value in shift)
            image = scene.image
            if right or down:
                moved = np.array([[1, 0, right], [0, 1, down]], np.float32)
                image = cv2.warpAffine(image, moved, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
            yield camera.take(image), StoryFrame(index, _moved(scene.visible, right, down), scene.drawn, scene.interactions)

    def still(self, time: float) -> tuple[Image, Scene, set[int]]:
        """Render one time in seconds with a camera that does not shake.

        Returns:
            `(HEIGHT, WIDTH, 3)` uint8 RGB, the drawn scene, and the identities of unused objects.
        """
        scene, unused = self._draw(time)
        camera = Camera(self._look, WIDTH, HEIGHT, np.random.default_rng((VIDEO_SEED, self._seed, 2, round(1000 * time))))
        return camera.take(scene.image), scene, unused

    def _draw(self, time: float) -> tuple[Scene, set[int]]:
        actors = [actor for actor in (role.at(time) for role in self._cast.roles) if actor is not None]
        used = {item.identity for actor in actors for item in actor.belongings.values()}
        props: list[Prop] = [timed.prop for timed in self._cast.timed_props if timed.start <= time < timed.end]
        props = [prop for prop in props if prop.object.identity not in used]
        scene = draw_scene(Canvas(self._backdrop.copy(), 1), actors, props, self._cast.tables)
        return scene, {prop.object.identity for prop in props}


def _gaps(seconds: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    times = np.cumsum(rng.uniform(12, 30, 1 + int(seconds / 12)))
    return [(float(time), float(time + rng.uniform(0.3, 0.9))) for time in times if time < seconds - 2]


def _moved(visible: Mapping[int, VisibleObject], right: int, down: int) -> dict[int, VisibleObject]:
    """Shift boxes by the camera's shake; what leaves the image is dropped."""
    moved = {}
    for identity, one in visible.items():
        left, top, far, low = one.box
        box = (max(0.0, left + right), max(0.0, top + down), min(float(WIDTH), far + right), min(float(HEIGHT), low + down))
        if box[0] < box[2] and box[1] < box[3]:
            moved[identity] = replace(one, box=box)
    return moved
