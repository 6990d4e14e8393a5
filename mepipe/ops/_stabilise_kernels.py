"""Compiled inner loops of the stabiliser, for `mepipe.ops.stabilise` alone.

The fast-math flags allow reassociation and fused multiply-add, whose results are fixed once compiled; none of them
sets flush-to-zero, which would change arithmetic in the whole process.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import float32, njit

_OPTIONS: dict[str, Any] = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
# The window that a point is compared in, pixels. The loop along it is a whole number of vector registers.
WIDTH, HEIGHT = 24, 21
# A step below this ends the search for a point; so many are made at most.
_REST, _STEPS = np.float32(0.02), 8


@njit("float32[:,:,:,::1](float32[:,::1], int32[:,::1])", **_OPTIONS)
def windows(texture, points):
    """Texture and its gradient in the window of each point: float32 [N, 3, HEIGHT, WIDTH]."""
    taken = np.empty((len(points), 3, HEIGHT, WIDTH), np.float32)
    for n in range(len(points)):
        left, top = points[n, 0] - WIDTH // 2, points[n, 1] - HEIGHT // 2
        for i in range(HEIGHT):
            above = texture[top + i - 1, left - 1 : left + WIDTH + 1]
            here = texture[top + i, left - 1 : left + WIDTH + 1]
            below = texture[top + i + 1, left - 1 : left + WIDTH + 1]
            r, gx, gy = taken[n, 0, i], taken[n, 1, i], taken[n, 2, i]
            for j in range(WIDTH):
                r[j] = here[j + 1]
                gx[j] = (here[j + 2] - here[j]) * float32(0.5)
                gy[j] = (below[j + 1] - above[j + 1]) * float32(0.5)
    return taken


@njit("float32[:,::1](float32[:,::1], int32[:,::1], float32[:,:,:,::1], float64[:,::1])", **_OPTIONS)
def follow(texture, points, taken, start):
    """Where each window is found again, beginning at `start` [N, 2]: float32 [N, 3], x, y and the correlation there.

    The correlation is -1 where the search left the picture.
    """
    found = np.empty((len(points), 3), np.float32)
    high, wide = texture.shape[0] - HEIGHT - 1, texture.shape[1] - WIDTH - 1
    for n in range(len(points)):
        xx = xy = yy = rr = float32(0)
        for i in range(HEIGHT):
            gx, gy, r = taken[n, 1, i], taken[n, 2, i], taken[n, 0, i]
            for j in range(WIDTH):
                xx += gx[j] * gx[j]
                xy += gx[j] * gy[j]
                yy += gy[j] * gy[j]
                rr += r[j] * r[j]
        determinant = xx * yy - xy * xy
        x, y = float32(start[n, 0]), float32(start[n, 1])
        match = float32(-1)
        for _ in range(_STEPS):
            left, top = math.floor(x) - WIDTH // 2, math.floor(y) - HEIGHT // 2
            if not (0 <= left <= wide and 0 <= top <= high):
                match = float32(-1)
                break
            fx, fy = x - math.floor(x), y - math.floor(y)
            a, b = float32((1 - fx) * (1 - fy)), float32(fx * (1 - fy))
            c, d = float32((1 - fx) * fy), float32(fx * fy)
            bx = by = rv = vv = float32(0)
            for i in range(HEIGHT):
                upper = texture[top + i, left : left + WIDTH + 1]
                lower = texture[top + i + 1, left : left + WIDTH + 1]
                r, gx, gy = taken[n, 0, i], taken[n, 1, i], taken[n, 2, i]
                for j in range(WIDTH):
                    v = a * upper[j] + b * upper[j + 1] + c * lower[j] + d * lower[j + 1]
                    e = v - r[j]
                    bx += e * gx[j]
                    by += e * gy[j]
                    rv += v * r[j]
                    vv += v * v
            match = rv / math.sqrt(rr * vv + float32(1e-6))
            step_x = (yy * bx - xy * by) / determinant
            step_y = (xx * by - xy * bx) / determinant
            x -= step_x
            y -= step_y
            if step_x * step_x + step_y * step_y < _REST * _REST:
                break
        found[n, 0], found[n, 1], found[n, 2] = x, y, match
    return found


@njit(
    "float64[:,::1](float64[:,::1], float64[:,::1], float64[::1], float64[::1], float64, float64, float64, float64)",
    **_OPTIONS,
)
def settle(points, moved, trust, scales, spread, share, grown, doubt):
    """Centre; shift; angle and growth about the centre: float64 [3, 2], what most of `points` -> `moved` [N, 2] follow.

    Reweighted least squares: a point at distance r weighs trust (s^2 / (s^2 + r^2))^2, s from the spread of the motions
    through `scales`, never below `spread` times the distance that this share of the points keeps within. Of a growth g
    in all, with what it has `grown` by before, g^3 / (g^2 + doubt^2) is believed.
    """
    count = len(points)
    near = int(share * count)
    motion, arm = moved - points, np.empty_like(points)
    square, weight = np.empty(count), np.empty(count)
    cx, cy = points[:, 0].mean(), points[:, 1].mean()
    x, y, angle, growth = np.median(motion[:, 0]), np.median(motion[:, 1]), 0.0, 0.0
    for n in range(count):
        arm[n, 0], arm[n, 1] = points[n, 0] - cx, points[n, 1] - cy
        square[n] = math.hypot(motion[n, 0] - x, motion[n, 1] - y)
    wide = np.median(square)
    first = np.array([max(4 * wide, 1.0), max(2 * wide, 0.7)])
    for scale in np.concatenate((first, scales)):
        for n in range(count):
            rx = motion[n, 0] - x + angle * arm[n, 1] - growth * arm[n, 0]
            ry = motion[n, 1] - y - angle * arm[n, 0] - growth * arm[n, 1]
            square[n] = rx * rx + ry * ry
        limit = max(scale * scale, spread * spread * np.partition(square, near)[near])
        total = ax = ay = mx = my = 0.0
        for n in range(count):
            root = limit / (limit + square[n])
            w = root * root * trust[n]
            weight[n] = w
            total += w
            ax += w * arm[n, 0]
            ay += w * arm[n, 1]
            mx += w * motion[n, 0]
            my += w * motion[n, 1]
        ax, ay, mx, my = ax / total, ay / total, mx / total, my / total
        turned = widened = lever = 0.0
        for n in range(count):
            px, py = arm[n, 0] - ax, arm[n, 1] - ay
            turned += weight[n] * (px * (motion[n, 1] - my) - py * (motion[n, 0] - mx))
            widened += weight[n] * (px * (motion[n, 0] - mx) + py * (motion[n, 1] - my))
            lever += weight[n] * (px * px + py * py)
        angle, growth = turned / lever, widened / lever + grown
        growth = growth**3 / (growth**2 + doubt**2) - grown
        x, y = mx + angle * ay - growth * ax, my - angle * ax - growth * ay
    return np.array([[cx, cy], [x, y], [angle, growth]])
