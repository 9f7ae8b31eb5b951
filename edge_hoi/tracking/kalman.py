"""A constant-velocity Kalman filter for many boxes at once, with a time step that may differ from frame to frame.

Centre x, centre y, width and height are four independent (position, velocity) pairs driven by continuous white noise in acceleration
(Bar-Shalom, Li, Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, section 6.2.2), so that one prediction
over 200 ms equals six over 33 ms. All noise is proportional to the box's size; counted in box sizes the covariance is therefore the same
for small and large boxes and for all four pairs, and three numbers a box hold it.

T is the number of boxes followed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_hoi.boxes import cxcywh_from_xyxy, xyxy_from_cxcywh
from edge_hoi.types import Boxes

_Array = NDArray[np.float64]

MEASUREMENT_VARIANCE = 0.05**2
"""How far a detected box is off, in box sizes squared."""
ACCELERATION_DENSITY = 1.0
"""How fast velocity wanders, in box sizes squared per second cubed: one box size per second within a second."""
INITIAL_VELOCITY_VARIANCE = 1.5**2
"""How fast a new box may be moving, in box sizes squared per second squared."""
SMALLEST_SIZE = 1.0
"""Pixels that a width or height does not shrink below, however long it is extrapolated."""


class KalmanBoxes:
    """The filtered state of T boxes, row by row."""

    def __init__(self) -> None:
        self._position = np.zeros((0, 4))  # cx, cy, w, h
        self._velocity = np.zeros((0, 4))
        self._covariance = np.zeros((0, 3))  # of a pair: position, position x velocity, velocity

    def __len__(self) -> int:
        """Count the boxes."""
        return len(self._position)

    @property
    def boxes_xyxy(self) -> Boxes:
        """The boxes as `(T, 4)` float32 xyxy in pixels."""
        position = self._position.copy()
        position[:, 2:] = np.maximum(position[:, 2:], SMALLEST_SIZE)
        return xyxy_from_cxcywh(position).astype(np.float32)

    def add(self, boxes_xyxy: Boxes) -> None:
        """Begin to follow boxes, at rest, behind those already there.

        Args:
            boxes_xyxy: `(K, 4)` in pixels.
        """
        count = len(boxes_xyxy)
        covariance = np.tile([MEASUREMENT_VARIANCE, 0.0, INITIAL_VELOCITY_VARIANCE], (count, 1))
        self._position = np.concatenate([self._position, cxcywh_from_xyxy(boxes_xyxy.astype(np.float64))])
        self._velocity = np.concatenate([self._velocity, np.zeros((count, 4))])
        self._covariance = np.concatenate([self._covariance, covariance])

    def keep(self, rows: NDArray[Any]) -> None:
        """Drop all other rows.

        Args:
            rows: Indices or a boolean mask over T.
        """
        self._position, self._velocity, self._covariance = self._position[rows], self._velocity[rows], self._covariance[rows]

    def predict(self, elapsed_seconds: float) -> None:
        """Move every box on by some time.

        Args:
            elapsed_seconds: At least 0.
        """
        dt, q = elapsed_seconds, ACCELERATION_DENSITY
        self._position = self._position + dt * self._velocity
        pp, pv, vv = self._covariance.T
        self._covariance = np.stack([pp + 2 * dt * pv + dt**2 * vv + q * dt**3 / 3, pv + dt * vv + q * dt**2 / 2, vv + q * dt], axis=1)

    def correct(self, rows: NDArray[np.int64], boxes_xyxy: Boxes) -> None:
        """Take in what was observed.

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
