"""A constant-velocity Kalman filter for many boxes at once, with a variable time step.

Centre x, centre y, width and height are four independent (position, velocity) pairs driven by continuous white noise in acceleration
(Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section 6.2.2), so one prediction over
200 ms equals six over 33 ms. All noise is proportional to the box's size. In units of the box's size the covariance is therefore the
same for all boxes and all four pairs, and three numbers per box store it.

T is the number of tracked boxes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import cxcywh_from_xyxy, xyxy_from_cxcywh
from edge_hoi.types import Boxes

MEASUREMENT_VARIANCE = 0.05**2
"""Variance of a detected box, in box sizes squared."""
ACCELERATION_DENSITY = 1.0
"""Process noise, in box sizes squared per second cubed: velocity changes by one box size per second within a second."""
INITIAL_VELOCITY_VARIANCE = 1.5**2
"""Variance of a new box's velocity, in box sizes squared per second squared."""
MIN_SIZE = 1.0
"""Lower bound of an extrapolated width or height, in pixels."""


class KalmanBoxes:
    """The filtered state of T boxes, one row each."""

    def __init__(self) -> None:
        self._position = np.zeros((0, 4))  # cx, cy, w, h
        self._velocity = np.zeros((0, 4))
        self._covariance = np.zeros((0, 3))  # position variance, position-velocity covariance, velocity variance

    def __len__(self) -> int:
        return len(self._position)

    @property
    def boxes_xyxy(self) -> Boxes:
        """The boxes as `(T, 4)` float32 xyxy in pixels."""
        position = self._position.copy()
        position[:, 2:] = np.maximum(position[:, 2:], MIN_SIZE)
        return xyxy_from_cxcywh(position).astype(np.float32)

    def add(self, boxes_xyxy: Boxes) -> None:
        """Append `(K, 4)` boxes in pixels, with zero velocity."""
        count = len(boxes_xyxy)
        covariance = np.tile([MEASUREMENT_VARIANCE, 0.0, INITIAL_VELOCITY_VARIANCE], (count, 1))
        self._position = np.concatenate([self._position, cxcywh_from_xyxy(boxes_xyxy.astype(np.float64))])
        self._velocity = np.concatenate([self._velocity, np.zeros((count, 4))])
        self._covariance = np.concatenate([self._covariance, covariance])

    def keep(self, rows: NDArray[Any]) -> None:
        """Keep only these rows: indices or a boolean mask over T."""
        self._position, self._velocity, self._covariance = self._position[rows], self._velocity[rows], self._covariance[rows]

    def predict(self, elapsed_seconds: float) -> None:
        """Extrapolate every box by a time of at least 0."""
        dt, q = elapsed_seconds, ACCELERATION_DENSITY
        self._position = self._position + dt * self._velocity
        pp, pv, vv = self._covariance.T
        self._covariance = np.stack([pp + 2 * dt * pv + dt**2 * vv + q * dt**3 / 3, pv + dt * vv + q * dt**2 / 2, vv + q * dt], axis=1)

    def correct(self, rows: NDArray[np.int64], boxes_xyxy: Boxes) -> None:
        """Update boxes with measurements.

        Args:
            rows: `(K,)` distinct indices into T.
            boxes_xyxy: `(K, 4)` in pixels, one for each row.
        """
        pp, pv, vv = self._covariance[rows].T
        gain_position, gain_velocity = pp / (pp + MEASUREMENT_VARIANCE), pv / (pp + MEASUREMENT_VARIANCE)
        innovation = cxcywh_from_xyxy(boxes_xyxy.astype(np.float64)) - self._position[rows]
        self._position[rows] += gain_position[:, None] * innovation
        self._velocity[rows] += gain_velocity[:, None] * innovation
        self._covariance[rows] = np.stack([(1 - gain_position) * pp, (1 - gain_position) * pv, vv - gain_velocity * pv], axis=1)
