"""Objects: their categories and looks.

An object's coordinates are body heights, x forward and y up. Its origin is on the ground below its middle for what stands there (bicycle,
chair, bench, suitcase, dog, skateboard), and where it is gripped for what is held (its middle, or the handle of an umbrella).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from edge_hoi.lab.synthetic.canvas import Colour, shaded

BICYCLE, CHAIR, BALL, CUP, PHONE, UMBRELLA, SUITCASE = "bicycle", "chair", "sports ball", "cup", "cell phone", "umbrella", "suitcase"
SKATEBOARD, DOG, LAPTOP, BOTTLE, BENCH, BOOK, BACKPACK = "skateboard", "dog", "laptop", "bottle", "bench", "book", "backpack"

SEAT = {CHAIR: 0.27, BENCH: 0.26, SUITCASE: 0.3}
"""Heights of seats."""

FITTED = (*SEAT, BICYCLE)
"""Categories whose size fits the body; the size of others varies."""

HALF_HEIGHT = {BALL: 0.075, BACKPACK: 0.12, CUP: 0.06, BOTTLE: 0.1, BOOK: 0.08, LAPTOP: 0.02}
"""Height of the origin of a hand-held object that lies; that of all others is on the ground."""

ON_TABLES = (CUP, BOTTLE, BOOK, LAPTOP)

SADDLE, BAR, CRANK, PEDAL = -0.12 + 0.5j, 0.22 + 0.56j, -0.03 + 0.17j, 0.09
"""Places on a bicycle, and the length of its cranks."""

WHEEL = 0.19


@dataclass(frozen=True, slots=True)
class ObjectLook:
    """An object's looks, constant through a scene.

    Attributes:
        size: Scale; about 1.
        style: Variant of its shape, in [0, 1].
    """

    colour: Colour
    accent: Colour
    size: float
    style: float


_PALETTES: Mapping[str, tuple[Colour, ...]] = MappingProxyType(
    {
        BICYCLE: ((196, 48, 44), (40, 90, 170), (30, 120, 70), (36, 36, 40), (226, 160, 40), (200, 204, 210)),
        CHAIR: ((150, 98, 56), (96, 62, 40), (186, 60, 50), (60, 66, 76), (206, 196, 176), (60, 110, 130)),
        BALL: ((246, 196, 40), (236, 110, 40), (240, 240, 240), (210, 50, 60), (70, 150, 220), (150, 220, 60)),
        CUP: ((240, 240, 236), (200, 60, 54), (60, 120, 180), (90, 160, 90), (240, 190, 70)),
        PHONE: ((24, 24, 28), (36, 38, 50), (18, 18, 20)),
        UMBRELLA: ((200, 40, 60), (40, 60, 140), (30, 32, 38), (240, 180, 50), (90, 40, 110), (40, 130, 120)),
        SUITCASE: ((60, 70, 90), (160, 50, 50), (40, 110, 110), (130, 86, 50), (220, 180, 60), (120, 70, 140)),
        SKATEBOARD: ((180, 90, 40), (50, 50, 56), (60, 140, 150), (200, 60, 90)),
        DOG: ((150, 104, 62), (70, 52, 42), (214, 196, 168), (60, 60, 64), (184, 128, 76)),
        LAPTOP: ((180, 184, 190), (70, 74, 82), (150, 152, 158)),
        BOTTLE: ((60, 140, 80), (60, 130, 190), (200, 90, 50), (190, 214, 224), (120, 70, 40)),
        BENCH: ((140, 90, 50), (100, 70, 46), (90, 100, 96), (160, 120, 80)),
        BOOK: ((180, 44, 44), (40, 80, 140), (40, 110, 70), (220, 170, 60), (110, 60, 120)),
        BACKPACK: ((40, 60, 110), (170, 50, 50), (60, 90, 60), (230, 140, 50), (60, 60, 66)),
    }
)

CATEGORIES = tuple(_PALETTES)


def draw_object_look(category: str, rng: np.random.Generator) -> ObjectLook:
    """Sample an object's looks."""
    palette = _PALETTES[category]
    colour, accent = (shaded(palette[index], rng.uniform(0.88, 1.12)) for index in rng.integers(len(palette), size=2))
    return ObjectLook(colour, accent, float(rng.uniform(0.9, 1.15)), float(rng.random()))
