"""Stills taken out of scripted videos: people as cameras see them, several at once, half hidden, coming and going."""

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from edge_hoi.lab.synthetic.scenes import Picture
from edge_hoi.lab.synthetic.stills import HEIGHT, WIDTH, Still, visible_interactions
from edge_hoi.lab.synthetic.stories import WIDTH as VIDEO_WIDTH
from edge_hoi.lab.synthetic.stories import Story
from edge_hoi.types import Image

_SECONDS = 60.0
_MOMENTS = 6  # of a video: several cost little more than one
_FIRST_SEED = 1_000_000
"""Videos that are judged have lower seeds: no picture comes from one of those."""


def draw_moment(split_seed: int, index: int) -> Still:
    """Draw a frame of a video.

    Args:
        split_seed: The split's.
        index: The picture's number in the split.
    """
    number, moment = divmod(index, _MOMENTS)
    times = np.random.default_rng((split_seed, number)).permutation(np.linspace(0.05, 0.95, _MOMENTS)) * _SECONDS
    image, picture, loose = _story(_FIRST_SEED * (1 + split_seed) + number).still(times[moment])
    small: Image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return Still(small, _shrunk(picture), tuple(visible_interactions(picture, loose)), {}, {})


@lru_cache(maxsize=1)
def _story(seed: int) -> Story:
    return Story(seed, seconds=_SECONDS, fps=1)


def _shrunk(picture: Picture) -> Picture:
    """Give boxes in pixels of the small picture."""
    scale = WIDTH / VIDEO_WIDTH
    seen = {}
    for identity, one in picture.seen.items():
        left, top, right, bottom = (scale * side for side in one.box)
        seen[identity] = replace(one, box=(left, top, right, bottom))
    return replace(picture, seen=seen)
