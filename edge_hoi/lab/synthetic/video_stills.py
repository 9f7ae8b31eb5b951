"""Stills taken from scripted videos: several people at once, partly occluded, entering and leaving."""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from edge_hoi.lab.synthetic.scenes import Scene
from edge_hoi.lab.synthetic.stills import HEIGHT, WIDTH, Still, visible_interactions
from edge_hoi.lab.synthetic.stories import WIDTH as VIDEO_WIDTH
from edge_hoi.lab.synthetic.stories import Story
from edge_hoi.types import Image

_SECONDS = 60.0
_STILLS_PER_VIDEO = 6  # several cost little more than one
_FIRST_SEED = 1_000_000
"""Evaluation videos have lower seeds, so that no still comes from one of them."""


def draw_video_still(split_seed: int, index: int) -> Still:
    """Render a frame of a video as a split's image with an index."""
    number, position = divmod(index, _STILLS_PER_VIDEO)
    times = np.random.default_rng((split_seed, number)).permutation(np.linspace(0.05, 0.95, _STILLS_PER_VIDEO)) * _SECONDS
    image, scene, unused = _story(_FIRST_SEED * (1 + split_seed) + number).still(times[position])
    small: Image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return Still(small, _shrunk(scene), tuple(visible_interactions(scene, unused)), {}, {})


@lru_cache(maxsize=1)
def _story(seed: int) -> Story:
    return Story(seed, seconds=_SECONDS, fps=1)


def _shrunk(scene: Scene) -> Scene:
    """Scale boxes to the small image."""
    scale = WIDTH / VIDEO_WIDTH
    visible = {}
    for identity, one in scene.visible.items():
        left, top, right, bottom = (scale * side for side in one.box)
        visible[identity] = replace(one, box=(left, top, right, bottom))
    return replace(scene, visible=visible)
