"""TV-L1 on a Torch device, all pairs of a batch at once. For `mepipe.ops.tvl1` alone; needs neither OpenCV nor numba.

The scheme is that of `_tvl1_solver`, step by step: the same pyramid, look-up, linearisation, median and stopping rule,
each pair from a cold start through the whole pyramid. Sums round in another order, so that a stopping rule may be met
an iteration earlier or later. The host does not wait for the device between iterations, but where there is a stopping
rule, and then once in `PATIENCE` iterations: kernels are queued ahead, which is what a GPU needs.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mepipe.ops._torch import computing, separable, upload
from mepipe.ops.tvl1 import MEDIAN_TO_SIGMA, NOISIEST, RUNAWAY, SETTLED, SMALLEST, SPARSE, Preset

# Pixels of a batch, all pairs together: 64 pairs of 224 x 224. The working memory is 75 planes of float32 for each
# pair, for the median: .96 GB, however long the clip.
BATCH = 64 * 224 * 224
# Iterations between two questions whether any pair still moves.
PATIENCE = 5
# Before version 5, cv2.remap looks up at 1/32 pixel; since, where it is told to.
FRACTIONS = 32
MEDIAN = 5
_TINY = 1.1920929e-07  # FLT_EPSILON: below it OpenCV does not divide by a squared gradient


class _Linear(NamedTuple):
    """The residual linearised around a flow: gradient [N, 2, H, W], minus the weight, and the constant: [N, H, W]."""

    gradient: Tensor
    minus_weight: Tensor
    constant: Tensor


def flow_with_report(
    reference: np.ndarray, targets: np.ndarray, preset: Preset, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """Float32 [N, 2, H, W] and bool [N], as `tvl1.flow_with_report` in mode "exact". The frames are checked already."""
    fields = np.empty((len(targets), 2, *reference.shape), np.float32)
    settled = np.empty(len(targets), bool)
    size = max(1, BATCH // reference.size)
    with computing():
        base = _pyramid(upload(reference[None], device), preset)
        for start in range(0, len(targets), size):
            part = slice(start, start + size)
            flow, moved = _descend(base, _pyramid(upload(targets[part], device), preset), preset)
            fields[part], settled[part] = flow.cpu().numpy(), (moved < SETTLED).cpu().numpy()
    return fields, settled


def _pyramid(frames: Tensor, preset: Preset) -> list[Tensor]:
    """Frames [N, H, W] as levels, finest first."""
    levels = [frames]
    while len(levels) < preset.scales:
        sides = levels[-1].shape[1:]
        smaller = [round(side * preset.scale_step) for side in sides]
        if min(smaller) < SMALLEST:
            break
        ratio = 1 / preset.scale_step
        levels.append(separable(levels[-1], *[resizing(*s, ratio) for s in zip(sides, smaller, strict=True)]))
    return [_detail(level, preset.detail) for level in levels]


def _detail(frames: Tensor, sigma: float) -> Tensor:
    if sigma == 0:
        return frames
    height, width = frames.shape[1:]
    return frames - separable(frames, blurring(height, sigma), blurring(width, sigma))


@lru_cache(maxsize=64)
def blurring(length: int, sigma: float) -> np.ndarray:
    """cv2.GaussianBlur of float32 along an axis, BORDER_REFLECT, as a matrix: float64 [length, length]."""
    radius = round(sigma * 8 + 1) // 2  # OpenCV: 4 sigma on each side
    offsets = np.arange(-radius, radius + 1)
    taps = np.exp(-(offsets**2) / (2 * sigma**2))
    source = np.pad(np.arange(length), radius, mode="symmetric")
    matrix = np.zeros((length, length))
    for offset, tap in zip(offsets, taps / taps.sum(), strict=True):
        matrix[np.arange(length), source[radius + offset :][:length]] += tap
    return matrix


@lru_cache(maxsize=64)
def resizing(length: int, new: int, ratio: float) -> np.ndarray:
    """cv2.resize, INTER_LINEAR, along an axis as a matrix: float64 [new, length]. ratio: old pixels to a new one."""
    place = np.clip((np.arange(new) + 0.5) * ratio - 0.5, 0, length - 1)
    left = place.astype(int)
    matrix = np.zeros((new, length))
    matrix[np.arange(new), left] = 1 - (place - left)
    matrix[np.arange(new), np.minimum(left + 1, length - 1)] += place - left
    return matrix


def _descend(base: list[Tensor], levels: list[Tensor], preset: Preset) -> tuple[Tensor, Tensor]:
    """From the coarsest level down, the dual variables at zero on each. Flow, and how far its last warp moved it."""
    count, *sides = levels[-1].shape
    flow = levels[-1].new_zeros(count, 2, *sides)
    for reference, target in zip(base[::-1], levels[::-1], strict=True):
        if target.shape[1:] != flow.shape[2:]:
            enlarge = [resizing(n, m, n / m) for n, m in zip(flow.shape[2:], target.shape[1:], strict=True)]
            flow = separable(flow, *enlarge) / preset.scale_step
        height, width = target.shape[1:]
        # Of u and v (axis 1) along x and y (axis 2), times theta; zero before the first column and row.
        dual = target.new_zeros(count, 2, 2, height + 1, width + 1)
        sources = target[:, None] if preset.mean_gradient else torch.cat([target[:, None], _gradient(target)], dim=1)
        for _ in range(preset.warps):
            before = flow.clone()
            seen = _look_up(sources, flow, preset)
            _relax(_linearised(reference, seen, flow, preset), flow, dual, preset)
    return flow, _rms(flow - before)


def _rms(fields: Tensor) -> Tensor:
    """Length of the vectors of [N, 2, H, W], root mean square: [N]."""
    return torch.linalg.vector_norm(fields, dim=(1, 2, 3)) / math.sqrt(fields.shape[2] * fields.shape[3])


def _gradient(images: Tensor) -> Tensor:
    """Centred differences of [N, H, W] along x and y, halved at the border as in OpenCV: [N, 2, H, W]."""
    held = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")
    return 0.5 * torch.cat(
        [held[..., 1:-1, 2:] - held[..., 1:-1, :-2], held[..., 2:, 1:-1] - held[..., :-2, 1:-1]], dim=1
    )


def _pointed(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where the flow points: x and y, each [N, H, W]."""
    height, width = flow.shape[2:]
    x = flow[:, 0] + torch.arange(width, device=flow.device)
    return x, flow[:, 1] + torch.arange(height, device=flow.device)[:, None]


def _look_up(sources: Tensor, flow: Tensor, preset: Preset) -> Tensor:
    """[N, C, H, W] where the flow points, bicubic as cv2.remap; beyond the border as `_tvl1_solver._look_up`."""
    pointed = list(_pointed(flow))
    if _in_fractions():
        pointed = [torch.round(place * FRACTIONS) / FRACTIONS for place in pointed]
    sides = flow.shape[3], flow.shape[2]
    places = [place * (2 / (side - 1)) - 1 for place, side in zip(pointed, sides, strict=True)]
    beyond = "border" if preset.mean_gradient else "zeros"
    grid = torch.stack(places, dim=-1)
    return F.grid_sample(sources, grid, mode="bicubic", padding_mode=beyond, align_corners=True)


@cache
def _in_fractions() -> bool:
    """Whether the OpenCV at hand rounds where it looks up. Without one there is no other path to agree with."""
    try:
        import cv2
    except ImportError:
        return False
    return int(cv2.__version__.split(".")[0]) < 5


def _linearised(reference: Tensor, seen: Tensor, flow: Tensor, preset: Preset) -> _Linear:
    """As `_tvl1_kernels.linearise_mean`, and where the gradients are the target's alone as `linearise`."""
    if preset.mean_gradient:
        x, y = _pointed(flow)
        inside = (x >= 0) & (x <= flow.shape[3] - 1) & (y >= 0) & (y <= flow.shape[2] - 1)
        gradient = 0.5 * (_gradient(reference) + _gradient(seen[:, 0])) * inside[:, None]
        squared = gradient.square().sum(dim=1) + preset.noise * _noise(reference, seen[:, 0])
    else:
        gradient = seen[:, 1:]
        squared = gradient.square().sum(dim=1)
    weight = 1 / squared.clamp_min_(_TINY)
    return _Linear(gradient, -weight, seen[:, 0] - (gradient * flow).sum(dim=1) - reference)


def _noise(reference: Tensor, seen: Tensor) -> Tensor:
    """As `_tvl1_solver._noise`, of each pair: [N, 1, 1]."""
    difference = (seen - reference)[:, ::SPARSE, ::SPARSE].abs().flatten(1)
    return (MEDIAN_TO_SIGMA * difference.quantile(0.5, dim=1)).clamp_max_(NOISIEST).square()[:, None, None]


def _relax(linear: _Linear, flow: Tensor, dual: Tensor, preset: Preset) -> None:
    """One warp, in place. A pair that meets the stopping rule stays as it is while the others go on."""
    moving = flow.new_ones(len(flow), 1, 1, 1)
    for _ in range(preset.outer):
        if preset.median:
            flow.copy_(torch.where(moving > 0, _median(flow, MEDIAN), flow))
        if not _iterate(linear, flow, dual, moving, preset):
            break
    if not preset.median:
        median = _median(flow, MEDIAN)
        flow.copy_(torch.where((flow - median).abs() > RUNAWAY, median, flow))


def _iterate(linear: _Linear, flow: Tensor, dual: Tensor, moving: Tensor, preset: Preset) -> bool:
    """Up to `preset.inner` iterations in place; `moving` [N, 1, 1, 1] goes to 0 for pairs that meet the stopping rule.

    Returns whether any pair still moves, as far as it was asked.
    """
    limit = preset.attachment * preset.theta
    gx, gy = linear.gradient.unbind(dim=1)
    along_x, along_y = dual[:, :, 0, 1:, 1:], dual[:, :, 1, 1:, 1:]
    left, above = dual[:, :, 0, 1:, :-1], dual[:, :, 1, :-1, 1:]
    slope = torch.zeros_like(dual[..., 1:, 1:])
    tau, rate = preset.tau * moving[..., None], preset.tau / preset.theta * moving
    for done in range(1, preset.inner + 1):
        step = torch.addcmul(linear.constant, gx, flow[:, 0]).addcmul_(gy, flow[:, 1])
        step.mul_(linear.minus_weight).clamp_(-limit, limit)
        change = (along_x - left).add_(along_y).sub_(above).addcmul_(linear.gradient, step[:, None])
        flow.add_(change.mul_(moving))
        torch.sub(flow[..., 1:], flow[..., :-1], out=slope[:, :, 0, :, :-1])
        torch.sub(flow[:, :, 1:], flow[:, :, :-1], out=slope[:, :, 1, :-1])
        shrink = torch.hypot(slope[:, :, 0], slope[:, :, 1]).clamp_min_(preset.huber)
        dual[..., 1:, 1:].addcmul_(slope, tau).div_(shrink.mul_(rate).add_(1)[:, :, None])
        if preset.epsilon > 0 and (done % preset.fused == 0 or done == preset.inner):
            on = (_rms(change) > preset.epsilon)[:, None, None, None]
            moving.mul_(on), rate.mul_(on), tau.mul_(on[..., None])
            if done % PATIENCE == 0 and not moving.any():
                return False
    return True


def _median(fields: Tensor, aperture: int) -> Tensor:
    """Median over a square window, the border repeated, as cv2.medianBlur: [N, 2, H, W] -> the same."""
    reach = aperture // 2
    height, width = fields.shape[2:]
    held = F.pad(fields, (reach,) * 4, mode="replicate")
    planes = [held[..., y : y + height, x : x + width] for y in range(aperture) for x in range(aperture)]
    for low, high, keep_low, keep_high in median_network(len(planes)):
        one, other = planes[low], planes[high]
        if keep_low:
            planes[low] = torch.minimum(one, other)
        if keep_high:
            planes[high] = torch.maximum(one, other)
    return planes[len(planes) // 2]


@lru_cache(maxsize=8)
def median_network(count: int) -> list[tuple[int, int, bool, bool]]:
    """Exchanges (low, high, is the smaller needed, is the larger) that bring the median of `count` into the middle.

    Batcher's merge exchange sort (Knuth, vol. 3, algorithm 5.2.2M) without what does not reach the middle: on whole
    planes each exchange is one or two passes, where a sort of each window would run apart on a GPU.
    """
    exchanges = []
    top = 1 << (count - 1).bit_length() - 1
    p = top
    while p:
        q, r, distance = top, 0, p
        while True:
            exchanges += [(i, i + distance) for i in range(count - distance) if i & p == r]
            if q == p:
                break
            distance, q, r = q - p, q >> 1, p
        p >>= 1
    needed = {count // 2}
    kept = []
    for low, high in reversed(exchanges):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    return kept[::-1]
