"""Augmentation of images and their boxes, as published.

Flip, colour jitter, then either a random size, or a crop between two random resizes. Resampling and jitter are Pillow's, which the
published weights were trained with. All randomness comes from the given generator.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageEnhance, ImageOps

from edge_hoi.errors import ConfigError

Boxes = NDArray[np.float64]

JITTER = 0.4
"""Brightness, contrast and saturation are each multiplied by 1 - JITTER to 1 + JITTER."""


@dataclass(frozen=True, slots=True)
class ImageSizes:
    """Sizes of images in pixels; the defaults are the published ones.

    Attributes:
        longest: Upper limit of the longer side.
        test_side: Shorter side in evaluation.
        train_sides: Shorter sides in training, one of which is drawn.
        crop_from_sides: Shorter sides before a crop, one of which is drawn.
        crop_min: Smallest side of a crop.
        crop_max: Largest side of a crop.
        crop_probability: Fraction of the training images that are cropped.
    """

    longest: int = 1333
    test_side: int = 800
    train_sides: tuple[int, ...] = tuple(range(480, 801, 32))
    crop_from_sides: tuple[int, ...] = (400, 500, 600)
    crop_min: int = 384
    crop_max: int = 600
    crop_probability: float = 0.5

    def __post_init__(self) -> None:
        """Check that the sizes are consistent."""
        sides = (self.test_side, *self.train_sides, *self.crop_from_sides)
        if not self.train_sides or not self.crop_from_sides or min(sides) < 1 or max(self.test_side, *self.train_sides) > self.longest:
            raise ConfigError(f"image sizes must be at least 1 and none larger than the longest side, got {self}")
        if not 1 <= self.crop_min <= min(self.crop_max, *self.crop_from_sides):
            raise ConfigError(f"a crop's smallest side must be at least 1 and no larger than any image to crop, got {self}")

    @classmethod
    def for_longest(cls, longest: int, *, is_fixed: bool = False) -> "ImageSizes":
        """Scale the published sizes, for small networks.

        Args:
            longest: Upper limit of the longer side, at least 32.
            is_fixed: Whether training images have the size of evaluation, without crops.

        Raises:
            ConfigError: `longest` is smaller.
        """
        if longest < 32:
            raise ConfigError(f"the longest side must be at least 32 pixels, got {longest}")
        published = cls()

        def scaled(side: int) -> int:
            return round(side * longest / published.longest)

        return cls(
            longest=longest,
            test_side=scaled(published.test_side),
            train_sides=(scaled(published.test_side),) if is_fixed else tuple(dict.fromkeys(map(scaled, published.train_sides))),
            crop_from_sides=tuple(dict.fromkeys(map(scaled, published.crop_from_sides))),
            crop_min=scaled(published.crop_min),
            crop_max=scaled(published.crop_max),
            crop_probability=0.0 if is_fixed else published.crop_probability,
        )


class Scene(NamedTuple):
    """An image with boxes.

    Attributes:
        image: RGB.
        boxes: `(n, 4)` float64 xyxy in pixels of the image.
    """

    image: PIL.Image.Image
    boxes: Boxes


def augment(scene: Scene, sizes: ImageSizes, rng: np.random.Generator) -> Scene:
    """Augment an image for training.

    Returns:
        The image with its n boxes; boxes outside of a crop have no area.
    """
    if rng.random() < 0.5:
        scene = flip(scene)
    scene = scene._replace(image=jitter(scene.image, rng))
    if rng.random() < sizes.crop_probability:
        scene = resize(scene, int(rng.choice(sizes.crop_from_sides)))
        scene = crop(scene, *_random_region(scene.image.size, sizes, rng))
    return resize(scene, int(rng.choice(sizes.train_sides)), sizes.longest)


def flip(scene: Scene) -> Scene:
    """Mirror left and right."""
    width = scene.image.width
    return Scene(ImageOps.mirror(scene.image), np.array([width, 0, width, 0]) + scene.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1])


def jitter(image: PIL.Image.Image, rng: np.random.Generator) -> PIL.Image.Image:
    """Change the brightness, contrast and saturation of an RGB image, in random order."""
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    factors = rng.uniform(1 - JITTER, 1 + JITTER, len(enhancers))
    for index in rng.permutation(len(enhancers)):
        image = enhancers[index](image).enhance(float(factors[index]))
    return image


def resize(scene: Scene, side: int, longest: int | None = None) -> Scene:
    """Resize so that the shorter side is `side` pixels long, or the longer one `longest`, if it would be longer."""
    size = resized_size(*scene.image.size, side, longest)
    ratio = np.array(size) / scene.image.size
    return Scene(scene.image.resize(size, PIL.Image.Resampling.BILINEAR), scene.boxes * np.tile(ratio, 2))


def resized_size(width: int, height: int, side: int, longest: int | None = None) -> tuple[int, int]:
    """Compute the width and height after `resize`, rounded as in the published code."""
    shorter, longer = sorted((width, height))
    if longest is not None and longer / shorter * side > longest:
        side = max(1, round(longest * shorter / longer))
    other = int(side * longer / shorter)
    return (side, other) if width <= height else (other, side)


def crop(scene: Scene, left: int, top: int, width: int, height: int) -> Scene:
    """Crop a rectangle, in pixels, and clip the boxes; those outside lose their area."""
    boxes = np.clip(scene.boxes - [left, top, left, top], 0, [width, height, width, height])
    return Scene(scene.image.crop((left, top, left + width, top + height)), boxes)


def clip_square(image: PIL.Image.Image, size: int) -> PIL.Image.Image:
    """Make CLIP's square input of an RGB image: bicubic resize of the shorter side to `size` pixels, then a centre crop."""
    width, height = resized_size(*image.size, size)
    # Halves round to even, as in torchvision's centre crop.
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.resize((width, height), PIL.Image.Resampling.BICUBIC).crop((left, top, left + size, top + size))


def _random_region(size: tuple[int, int], sizes: ImageSizes, rng: np.random.Generator) -> tuple[int, int, int, int]:
    width, height = (int(rng.integers(sizes.crop_min, min(side, sizes.crop_max), endpoint=True)) for side in size)
    left, top = (int(rng.integers(0, whole - part, endpoint=True)) for whole, part in zip(size, (width, height), strict=True))
    return left, top, width, height
