"""Camera simulation: light, colour, blur and noise."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.types import Image


@dataclass(frozen=True, slots=True)
class CameraLook:
    """Settings of one camera.

    Attributes:
        gain: Factor of red, green and blue.
        gamma: Exponent of brightness.
        gradient: How much brighter one side is than the other: `(right, bottom)`.
        blur: Standard deviation of the lens's blur in pixels.
        noise: Standard deviation of the sensor's noise in grey levels.
    """

    gain: tuple[float, float, float]
    gamma: float
    gradient: tuple[float, float]
    blur: float
    noise: float


def draw_camera_look(rng: np.random.Generator) -> CameraLook:
    """Sample a camera and the light of the day."""
    exposure, warmth = rng.uniform(0.7, 1.15), rng.normal(0, 0.05)
    return CameraLook(
        gain=(exposure * (1 + warmth), exposure, exposure * (1 - warmth)),
        gamma=float(rng.uniform(0.8, 1.25)),
        gradient=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.08))),
        blur=float(max(0.0, rng.uniform(-0.5, 0.9))),
        noise=float(rng.uniform(0.5, 6.5)),
    )


class Camera:
    """Applies one camera's settings to images of one size. The noise is sampled anew for each image."""

    def __init__(self, look: CameraLook, width: int, height: int, rng: np.random.Generator) -> None:
        self._look, self._rng = look, rng
        right, bottom = look.gradient
        falling = np.linspace(1 - bottom, 1 + bottom, height)[:, None] * np.linspace(1 - right, 1 + right, width)[None]
        self._light: NDArray[np.float32] = (falling[..., None] * np.array(look.gain)).astype(np.float32)
        levels = np.arange(256, dtype=np.float32) / 255
        self._curve = (levels**look.gamma * 255).astype(np.float32)
        # Each image takes its noise from a random place of one sheet: sampling it pixel by pixel costs more than all the rest.
        self._noise = rng.standard_normal((height + 32, width + 32, 3), np.float32) * np.float32(look.noise)

    def take(self, image: Image, *, smear: int = 0) -> Image:
        """Simulate an exposure of an `(H, W, 3)` uint8 RGB image, with horizontal motion blur `smear` pixels wide.

        Returns:
            `(H, W, 3)` uint8 RGB.
        """
        height, width = image.shape[:2]
        down, across = self._rng.integers(0, 32, 2)
        exposed: NDArray[np.float32] = self._curve[image] * self._light
        if self._look.blur > 0.15:
            exposed = cast(NDArray[np.float32], cv2.GaussianBlur(exposed, (0, 0), self._look.blur))
        if smear > 1:
            exposed = cast(NDArray[np.float32], cv2.blur(exposed, (smear, 1)))
        exposed += self._noise[down : down + height, across : across + width]
        taken: Image = np.clip(exposed, 0, 255).astype(np.uint8)
        return taken
