"""How TV-L1 is solved: pyramid, cold start, the two sweeps over a clip, warps. For `mepipe.ops.tvl1` alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from mepipe.ops import _tvl1_kernels as kernels
from mepipe.ops._median import median5
from mepipe.ops.tvl1 import MEDIAN_TO_SIGMA, NOISIEST, RUNAWAY, SETTLED, SMALLEST, SPARSE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mepipe.ops.tvl1 import Preset

# Warps of a target in either sweep over a clip; one in each is the rule.
MOST_WARPS = 5
# Pixels of the targets that are swept over together, 32 of 224 x 224; what is kept of them takes 40 MB.
WINDOW = 32 * 224 * 224
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


class Mean(NamedTuple):
    """The mean of frames, float32 [H, W], and the share that one more would have in it."""

    frame: np.ndarray
    share: float


def solutions(reference: np.ndarray, targets: np.ndarray, preset: Preset, mode: str) -> Iterator[Solution]:
    """One for each target, in order."""
    base = _pyramid(reference, preset)
    if mode == "exact":
        yield from (_descend(base, _pyramid(target, preset), preset) for target in targets)
        return
    last = _at_rest(reference.shape)
    longest = max(1, WINDOW // reference.size)
    for window in np.array_split(targets, -(-len(targets) // longest)) if len(targets) else ():
        found = _sweep(base, window, last, preset)
        yield from found
        last = found[-1]


def _pyramid(frame: np.ndarray, preset: Preset) -> list[np.ndarray]:
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


def _detail(level: np.ndarray, sigma: float) -> np.ndarray:
    if sigma == 0:
        return level
    return cv2.subtract(level, cv2.GaussianBlur(level, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def _descend(base: list[np.ndarray], levels: list[np.ndarray], preset: Preset) -> Solution:
    """Cold start: from the coarsest level down, the dual variables at zero on each, as in OpenCV."""
    flow = np.zeros((2, base[-1].shape[0] + 2, base[-1].shape[1] + 2), np.float32)
    for reference, target in zip(base[::-1], levels[::-1], strict=True):
        flow = _enlarged(flow, reference.shape, preset)
        dual = np.zeros((4, *flow.shape[1:]), np.float32)
        sources = _sources(target, preset)
        for _ in range(preset.warps):
            seen = _look_up(sources, flow, preset)
            moved = _relax(reference, seen, Mean(reference, 0.5), flow, dual, preset)
    return Solution(flow, dual, moved < SETTLED, _residual(reference, seen))


def _at_rest(shape: tuple[int, ...]) -> Solution:
    """What the reference itself would have as a target: no motion."""
    height, width = shape
    blocks = np.zeros((height // BLOCK, width // BLOCK), np.float32)
    flow, dual = (np.zeros((planes, height + 2, width + 2), np.float32) for planes in (2, 4))
    return Solution(flow, dual, True, blocks)


def _sweep(base: list[np.ndarray], targets: np.ndarray, last: Solution, preset: Preset) -> list[Solution]:
    """Consecutive targets, `last` the solution of the one before them, in two sweeps at the finest level.

    In the first each starts from the one before, with a warp or two, and its gradients are those of a growing mean: of
    the reference and of the targets, each where its flow points. That is a face with less noise than any frame of it.
    In the second each starts from its own flow, with the gradients of the whole mean: the last has no more of the clip
    to lean on than the first, and no flow lags behind the motion.
    """
    reference = base[0]
    finest = [_detail(target.astype(np.float32), preset.detail) for target in targets]
    mean = Mean(reference.copy(), 0.5)
    found = []
    for target, level in zip(targets, finest, strict=True):
        warm = _follow(reference, level, last, mean, 2 * SETTLED, preset)
        last = warm if warm and warm.settled else _descend(base, _pyramid(target, preset), preset)
        found.append(last)
        if preset.mean_gradient:
            cv2.accumulateWeighted(_look_up(level, last.flow, preset), mean.frame, mean.share)
            mean = Mean(mean.frame, mean.share / (1 + mean.share))
    for index, (level, first) in enumerate(zip(finest, found, strict=True)):
        again = _follow(reference, level, first, mean, SETTLED, preset)
        found[index] = again or first._replace(settled=False)  # in place: they are large
    return found


def _follow(
    reference: np.ndarray, target: np.ndarray, start: Solution, mean: Mean, enough: float, preset: Preset
) -> Solution | None:
    """From the flow and dual of `start`, until a warp moves the flow by less than `enough`.

    None where the start does not fit the target.
    """
    flow, dual = start.flow.copy(), start.dual.copy()
    sources = _sources(target, preset)
    for warp in range(MOST_WARPS):
        seen = _look_up(sources, flow, preset)
        residual = _residual(reference, seen)
        if warp == 0 and np.any(residual > 2 * start.residual + JUMP):
            return None
        moved = _relax(reference, seen, mean, flow, dual, preset)
        if moved < enough:
            return Solution(flow, dual, True, residual)
    return Solution(flow, dual, False, residual)


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


def _relax(
    reference: np.ndarray, seen: np.ndarray, mean: Mean, flow: np.ndarray, dual: np.ndarray, preset: Preset
) -> float:
    """One warp: linearise, then iterate in place. Returns how far the flow moved, pixels root mean square.

    Gradients are of the mean with `seen` in it, where the scheme does not take them from `seen` alone.
    """
    linear = np.zeros((4, *flow.shape[1:]), np.float32)
    if preset.mean_gradient:
        floor = np.float32(preset.noise * _noise(reference, seen))
        kernels.linearise_mean(reference, seen, mean.frame, np.float32(mean.share), flow, linear, floor)
    else:
        kernels.linearise(reference, seen, flow, linear)
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


def _noise(reference: np.ndarray, seen: np.ndarray) -> float:
    """Variance (grey levels squared) of the noise in the difference of two frames, by its median, for which a part that
    moves hardly counts; of every fourth pixel each way, which are enough."""
    difference = np.abs(seen[::SPARSE, ::SPARSE] - reference[::SPARSE, ::SPARSE])
    return float(min(MEDIAN_TO_SIGMA * np.median(difference), NOISIEST) ** 2)


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
