"""How one TV-L1 pair is solved: pyramid, cold start, warm start, warps. For `mepipe.ops.tvl1` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mepipe.ops import _tvl1_kernels as kernels
from mepipe.ops._median import median5
from mepipe.ops.tvl1 import RUNAWAY, SETTLED, SMALLEST

if TYPE_CHECKING:
    from mepipe.ops.tvl1 import Preset

# Warps of a warm start, which has two at least: one alone lags behind motion in a small part of the frame.
MOST_WARPS = 5
# A warm start follows a pixel or two of motion between two targets. It is given up where, in any block of this many
# pixels, the mean residual (grey levels) is more than twice what the previous target ended with, plus this.
BLOCK = 16
JUMP = 8.0


class Solution(NamedTuple):
    """flow [2, H+2, W+2] and dual [4, H+2, W+2], padded; residual: mean over blocks, before the last warp."""

    flow: np.ndarray
    dual: np.ndarray
    settled: bool
    residual: np.ndarray


def pyramid(frame: np.ndarray, preset: Preset) -> list[np.ndarray]:
    """Float32 levels, finest first; what varies slowly is removed from each, so that coarse ones keep coarse detail."""
    level: np.ndarray = frame.astype(np.float32)
    levels = [level]
    step = preset.scale_step
    while len(levels) < preset.scales:
        level = cv2.resize(level, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        if min(level.shape) < SMALLEST:
            break
        levels.append(level)
    return [_detail(level, preset.detail) for level in levels]


def finest(frame: np.ndarray, preset: Preset) -> np.ndarray:
    """The first level alone: what a warm start needs."""
    return _detail(frame.astype(np.float32), preset.detail)


def _detail(level: np.ndarray, sigma: float) -> np.ndarray:
    if sigma == 0:
        return level
    return cv2.subtract(level, cv2.GaussianBlur(level, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def descend(base: list[np.ndarray], levels: list[np.ndarray], preset: Preset) -> Solution:
    """Cold start: from the coarsest level down, the dual variables at zero on each, as in OpenCV."""
    flow = np.zeros((2, base[-1].shape[0] + 2, base[-1].shape[1] + 2), np.float32)
    for reference, target in zip(base[::-1], levels[::-1], strict=True):
        flow = _enlarged(flow, reference.shape, preset)
        dual = np.zeros((4, *flow.shape[1:]), np.float32)
        sources = _sources(target, preset)
        for _ in range(preset.warps):
            seen = _look_up(sources, flow, preset)
            moved = _relax(reference, seen, flow, dual, preset)
    return Solution(flow, dual, moved < SETTLED, _residual(reference, seen))


def at_rest(shape: tuple[int, ...]) -> Solution:
    """What the reference itself would have as a target: no motion."""
    height, width = shape
    blocks = np.zeros((height // BLOCK, width // BLOCK), np.float32)
    flow, dual = (np.zeros((planes, height + 2, width + 2), np.float32) for planes in (2, 4))
    return Solution(flow, dual, True, blocks)


def follow(reference: np.ndarray, target: np.ndarray, previous: Solution, preset: Preset) -> Solution | None:
    """Warm start at the finest level from the previous target's flow and dual; None where it does not lead there."""
    flow, dual = previous.flow.copy(), previous.dual.copy()
    sources = _sources(target, preset)
    for warp in range(MOST_WARPS):
        seen = _look_up(sources, flow, preset)
        residual = _residual(reference, seen)
        if warp == 0 and np.any(residual > 2 * previous.residual + JUMP):
            return None
        moved = _relax(reference, seen, flow, dual, preset)
        if warp > 0 and moved < SETTLED:
            return Solution(flow, dual, True, residual)
    return None


def _enlarged(flow: np.ndarray, shape: tuple[int, ...], preset: Preset) -> np.ndarray:
    """The flow of the coarser level at this level's size, padded."""
    height, width = shape
    out = np.zeros((2, height + 2, width + 2), np.float32)
    for axis in (0, 1):
        larger = cv2.resize(flow[axis, 1:-1, 1:-1], (width, height), interpolation=cv2.INTER_LINEAR)
        out[axis, 1:-1, 1:-1] = larger * np.float32(1 / preset.scale_step)
    return out


def _sources(target: np.ndarray, preset: Preset) -> np.ndarray:
    """What is warped: the target, and its gradients where the scheme takes them from there alone."""
    return target if preset.mean_gradient else kernels.with_gradient(target)


def _look_up(sources: np.ndarray, flow: np.ndarray, preset: Preset) -> np.ndarray:
    """The target where the flow points, bicubic. Beyond its border OpenCV reads zeros; `mean_gradient` ignores them."""
    height, width = sources.shape[:2]
    x = np.add(flow[0, 1:-1, 1:-1], np.arange(width, dtype=np.float32), dtype=np.float32)
    y = np.add(flow[1, 1:-1, 1:-1], np.arange(height, dtype=np.float32)[:, None], dtype=np.float32)
    border = cv2.BORDER_REPLICATE if preset.mean_gradient else cv2.BORDER_CONSTANT
    return cv2.remap(sources, x, y, cv2.INTER_CUBIC, borderMode=border)


def _residual(reference: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Mean absolute difference (grey levels) in blocks."""
    difference = cv2.absdiff(reference, seen if seen.ndim == 2 else np.ascontiguousarray(seen[..., 0]))
    height, width = reference.shape
    return cv2.resize(difference, (width // BLOCK, height // BLOCK), interpolation=cv2.INTER_AREA)


def _relax(reference: np.ndarray, seen: np.ndarray, flow: np.ndarray, dual: np.ndarray, preset: Preset) -> float:
    """One warp: linearise, then iterate in place. Returns how far the flow moved, pixels root mean square."""
    linear = np.zeros((4, *flow.shape[1:]), np.float32)
    (kernels.linearise_mean if preset.mean_gradient else kernels.linearise)(reference, seen, flow, linear)
    before = flow[:, 1:-1, 1:-1].copy()
    for _ in range(preset.outer):
        if preset.median:
            median5(flow[0])
            median5(flow[1])
        if _iterate(linear, flow, dual, preset):
            break
    if not preset.median:
        _bring_back(flow)
    moved = before - flow[:, 1:-1, 1:-1]
    return float(np.sqrt(np.vdot(moved, moved) / reference.size))


def _bring_back(flow: np.ndarray) -> None:
    """Pixels that ran away, in place."""
    for plane in flow:
        inside = plane[1:-1, 1:-1]
        # First asked of the mean of 9, which takes a tenth of the time: a bump's top is a third as far from it.
        if cv2.norm(inside, cv2.blur(inside, (3, 3)), cv2.NORM_INF) > RUNAWAY / 3:
            median = plane.copy()
            median5(median)
            far = np.abs(inside - median[1:-1, 1:-1]) > RUNAWAY
            inside[far] = median[1:-1, 1:-1][far]


def _iterate(linear: np.ndarray, flow: np.ndarray, dual: np.ndarray, preset: Preset) -> bool:
    """Up to `preset.inner` iterations; whether the last one moved the flow by less than `preset.epsilon`."""
    limit = np.float32(preset.attachment * preset.theta)
    theta = np.float32(preset.theta)
    rate = np.float32(preset.tau / preset.theta)
    huber = np.float32(preset.huber)
    enough = preset.epsilon**2 * (flow.shape[1] - 2) * (flow.shape[2] - 2)
    for done in range(0, preset.inner, preset.fused):
        count = min(preset.fused, preset.inner - done)
        if kernels.iterate(linear, flow, dual, limit, theta, rate, huber, count) <= enough:
            return True
    return False
