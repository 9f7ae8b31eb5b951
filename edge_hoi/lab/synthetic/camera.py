"""What a camera makes of a scene: light, colour, blur and noise."""

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_hoi.types import Image


@dataclass(frozen=True, slots=True)
class CameraLook:
    """What one camera's pictures have in common.

    Attributes:
        gain: Factor of red, green and blue.
        gamma: Exponent of brightness.
        gradient: How much brighter one side is than the other, and which: `(right, bottom)`.
        blur: Standard deviation of the lens's blur in pixels.
        noise: Standard deviation of the sensor's noise in grey levels.
    """

    gain: tuple[float, float, float]
    gamma: float
    gradient: tuple[float, float]
    blur: float
    noise: float


def draw_camera_look(rng: np.random.Generator) -> CameraLook:
    """Choose a camera and the light of the day at random."""
    exposure, warmth = rng.uniform(0.7, 1.15), rng.normal(0, 0.05)
    return CameraLook(
        gain=(exposure * (1 + warmth), exposure, exposure * (1 - warmth)),
        gamma=float(rng.uniform(0.8, 1.25)),
        gradient=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.08))),
        blur=float(max(0.0, rng.uniform(-0.5, 0.9))),
        noise=float(rng.uniform(0.5, 6.5)),
    )


class Camera:
    """Takes pictures of one size.

    Args:
        look: The camera.
        width: In pixels.
        height: In pixels.
        rng: The sensor's noise; drawn anew for each picture.
    """

    def __init__(self, look: CameraLook, width: int, height: int, rng: np.random.Generator) -> None:
        self._look, self._rng = look, rng
        right, bottom = look.gradient
        falling = np.linspace(1 - bottom, 1 + bottom, height)[:, None] * np.linspace(1 - right, 1 + right, width)[None]
        self._light: NDArray[np.float32] = (falling[..., None] * np.array(look.gain)).astype(np.float32)
        levels = np.arange(256, dtype=np.float32) / 255
        self._curve = (levels**look.gamma * 255).astype(np.float32)
        # Noise is cut from one sheet at a place drawn anew each time: drawing it pixel by pixel costs more than all the rest.
        self._noise = rng.standard_normal((height + 32, width + 32, 3), np.float32) * np.float32(look.noise)

    def take(self, picture: Image, *, smear: int = 0) -> Image:
        """Take a picture.

        Args:
            picture: `(H, W, 3)` uint8 RGB, as it is.
            smear: Pixels that the camera is moved sideways meanwhile.

        Returns:
            `(H, W, 3)` uint8 RGB, as the camera shows it.
        """
        height, width = picture.shape[:2]
        down, across = self._rng.integers(0, 32, 2)
        seen: NDArray[np.float32] = self._curve[picture] * self._light
        if self._look.blur > 0.15:
            seen = cast(NDArray[np.float32], cv2.GaussianBlur(seen, (0, 0), self._look.blur))
        if smear > 1:
            seen = cast(NDArray[np.float32], cv2.blur(seen, (smear, 1)))
        seen += self._noise[down : down + height, across : across + width]
        taken: Image = np.clip(seen, 0, 255).astype(np.uint8)
        return taken
