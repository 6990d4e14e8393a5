"""Compiled inner loops of TV-L1, for `mepipe.ops.tvl1` alone.

Planes are float32 and padded by one pixel on every side, so that no loop has a branch for borders: the dual
variables are zero in the padding, and the flow repeats its last column and row there. Rows are
given as plane and index, not as slices: numba counts the references of slices, which cost a tenth of the time.

The fast-math flags allow reassociation and fused multiply-add, whose results are fixed once compiled; none of them
sets flush-to-zero, which would change arithmetic in the whole process.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, njit

_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
_ONE = np.float32(1)
_HALF = np.float32(0.5)
_ZERO = np.float32(0)
_TINY = np.float32(1.1920929e-07)  # FLT_EPSILON: below it OpenCV does not divide by a squared gradient
_PLANE = "float32[:,::1]"
_PLANES = "float32[:,:,::1]"


@njit(**_OPTIONS)
def _threshold_row(linear, flow, y, step, limit):
    """Zach et al. 2007, eq. 17, without its branches: a clamped step along the gradient."""
    for x in range(step.size):
        rho = linear[3, y, x] + linear[0, y, x] * flow[0, y, x] + linear[1, y, x] * flow[1, y, x]
        step[x] = min(max(-rho * linear[2, y, x], -limit), limit)


@njit(**_OPTIONS)
def _flow_row(flow, axis, y, step, linear, dual, theta):
    """One component of the flow: data step plus theta times the divergence of its dual. Returns the squared change."""
    along_x, along_y = 2 * axis, 2 * axis + 1
    change = float32(0)
    for x in range(1, step.size - 1):
        divergence = dual[along_x, y, x] - dual[along_x, y, x - 1] + dual[along_y, y, x] - dual[along_y, y - 1, x]
        d = step[x] * linear[axis, y, x] + theta * divergence
        flow[axis, y, x] += d
        change += d * d
    flow[axis, y, step.size - 1] = flow[axis, y, step.size - 2]
    return change


@njit(**_OPTIONS)
def _dual_row(flow, axis, y, dual, rate, huber):
    """Semi-implicit step of the dual; `huber` > 0 makes the penalty quadratic below that slope (Werlberger 2009)."""
    along_x, along_y = 2 * axis, 2 * axis + 1
    for x in range(1, flow.shape[2] - 1):
        here = flow[axis, y, x]
        dx = flow[axis, y, x + 1] - here
        dy = flow[axis, y + 1, x] - here
        shrink = _ONE / (_ONE + rate * max(huber, math.sqrt(dx * dx + dy * dy)))
        dual[along_x, y, x] = (dual[along_x, y, x] + rate * dx) * shrink
        dual[along_y, y, x] = (dual[along_y, y, x] + rate * dy) * shrink


@njit(f"float64({_PLANES}, {_PLANES}, {_PLANES}, float32, float32, float32, float32, int64)", **_OPTIONS)
def iterate(linear, flow, dual, limit, theta, rate, huber, count):
    """`count` primal-dual iterations in place; returns the squared change of the flow, summed, in the last one.

    The iterations run one row behind each other, so that a row is still in the cache when the next one needs it.
    linear: gradient x, gradient y, weight, constant residual. dual: of u along x, y, then of v along x, y.
    """
    height = flow.shape[1] - 2
    step = np.zeros(flow.shape[2], np.float32)
    change = 0.0
    for front in range(1, height + count + 1):
        for lag in range(count):
            y = front - lag
            if y < 1 or y > height + 1:
                continue
            if y <= height:
                _threshold_row(linear, flow, y, step, limit)
                moved = _flow_row(flow, 0, y, step, linear, dual, theta)
                moved += _flow_row(flow, 1, y, step, linear, dual, theta)
                if lag == count - 1:
                    change += moved
            else:
                flow[0, y] = flow[0, y - 1]
                flow[1, y] = flow[1, y - 1]
            if y > 1:
                _dual_row(flow, 0, y - 1, dual, rate, huber)
                _dual_row(flow, 1, y - 1, dual, rate, huber)
    return change


@njit(f"float32[:,:,::1]({_PLANE})", **_OPTIONS)
def with_gradient(image):
    """[H, W] -> [H, W, 3]: the image and its centred differences along x and y, halved at the border as in OpenCV."""
    height, width = image.shape
    out = np.empty((height, width, 3), np.float32)
    for y in range(height):
        up = max(y - 1, 0)
        down = min(y + 1, height - 1)
        for x in range(width):
            out[y, x, 0] = image[y, x]
            out[y, x, 1] = _HALF * (image[y, min(x + 1, width - 1)] - image[y, max(x - 1, 0)])
            out[y, x, 2] = _HALF * (image[down, x] - image[up, x])
    return out


@njit(f"void({_PLANE}, {_PLANES}, {_PLANES}, {_PLANES})", **_OPTIONS)
def linearise(reference, seen, flow, linear):
    """Linearises the residual around the present flow; `seen` is the warped target with its warped gradient."""
    height, width = reference.shape
    for y in range(height):
        for x in range(width):
            gx = seen[y, x, 1]
            gy = seen[y, x, 2]
            linear[0, y + 1, x + 1] = gx
            linear[1, y + 1, x + 1] = gy
            linear[2, y + 1, x + 1] = _ONE / max(gx * gx + gy * gy, _TINY)
            constant = gx * flow[0, y + 1, x + 1] + gy * flow[1, y + 1, x + 1]
            linear[3, y + 1, x + 1] = seen[y, x, 0] - constant - reference[y, x]


@njit(f"void({_PLANE}, {_PLANE}, {_PLANE}, float32, {_PLANES}, {_PLANES}, float32)", **_OPTIONS)
def linearise_mean(reference, seen, mean, share, flow, linear, floor):
    """The same with the gradient of `mean` and `seen` together, of which `seen` has this share.

    floor: added to the squared gradient: the data term is quadratic below a residual of lambda * theta * floor, the L1
    norm above. A pixel whose target lies outside the frame carries no data.
    """
    height, width = reference.shape
    rest = _ONE - share
    for y in range(height):
        up = max(y - 1, 0)
        down = min(y + 1, height - 1)
        for x in range(width):
            left = max(x - 1, 0)
            right = min(x + 1, width - 1)
            u = flow[0, y + 1, x + 1]
            v = flow[1, y + 1, x + 1]
            inside = x + u >= 0 and x + u <= width - 1 and y + v >= 0 and y + v <= height - 1
            weight = _HALF if inside else _ZERO
            gx = weight * (rest * (mean[y, right] - mean[y, left]) + share * (seen[y, right] - seen[y, left]))
            gy = weight * (rest * (mean[down, x] - mean[up, x]) + share * (seen[down, x] - seen[up, x]))
            linear[0, y + 1, x + 1] = gx
            linear[1, y + 1, x + 1] = gy
            linear[2, y + 1, x + 1] = _ONE / max(gx * gx + gy * gy + floor, _TINY)
            linear[3, y + 1, x + 1] = seen[y, x] - gx * u - gy * v - reference[y, x]
