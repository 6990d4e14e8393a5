"""Smooth local displacements: sums of bumps with compact support, exact at any point.

A set of bumps is float64 [n, 6]: centre x, centre y, radius x, radius y, vector x, vector y. With
r² = ((x - cx) / rx)² + ((y - cy) / ry)², a bump moves a point by vector * (1 - r²)³ inside the ellipse r < 1
and leaves it outside: close to a Gaussian of sigma = radius / 2.6, twice differentiable, and exactly zero far away.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def at_point(bumps: np.ndarray, x: float, y: float) -> tuple[float, float]:
    """Displacement (dx, dy) of one point, in the units of the bumps' vectors."""
    dx = 0.0
    dy = 0.0
    for i in range(bumps.shape[0]):
        p = (x - bumps[i, 0]) / bumps[i, 2]
        q = (y - bumps[i, 1]) / bumps[i, 3]
        left = 1.0 - p * p - q * q
        if left > 0.0:
            weight = left * left * left
            dx += weight * bumps[i, 4]
            dy += weight * bumps[i, 5]
    return dx, dy


@njit(cache=True, error_model="numpy")
def at(bumps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Displacement of points [n, 2] (x, y) -> float64 [n, 2]."""
    out = np.empty((points.shape[0], 2))
    for i in range(points.shape[0]):
        out[i, 0], out[i, 1] = at_point(bumps, points[i, 0], points[i, 1])
    return out


@njit(cache=True, error_model="numpy")
def field(bumps: np.ndarray, height: int, width: int) -> np.ndarray:
    """Displacement of every pixel of a picture: float64 [2, height, width], x then y."""
    out = np.empty((2, height, width))
    for y in range(height):
        for x in range(width):
            out[0, y, x], out[1, y, x] = at_point(bumps, float(x), float(y))
    return out
