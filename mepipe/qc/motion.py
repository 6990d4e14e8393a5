"""Measures of motion: of the head, which alignment should have undone, and of face and lids on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mepipe.qc.regions import SIZE, Regions, cells

# Cells that move otherwise than the head, by more than these (px, in turn), have less and less say in how it moves.
_SCALES = (4.0, 2.0, 1.0, 0.5, 0.3, 0.2, 0.15)
# Around its peak, motion of this part of it and more is no less a peak.
_HIGH = 0.9
# A blink goes from half way down to half way up in less than this, seconds: most take 0.1 to 0.4 in all.
_BLINK = 0.5
_LARGEST = 65504.0  # of float16: in place of what is not finite


@dataclass(frozen=True, eq=False)
class Head:
    """How the head moves from the onset to each of N frames.

    rigid: float64 [N], px, root mean square over the face of shift, rotation and growth.
    turn: float64 [N], degrees out of the picture's plane, to the side or up and down.
    rest: float64 [N, 2, n, n], px: the flow without all that.
    """

    rigid: np.ndarray
    turn: np.ndarray
    rest: np.ndarray


def flow_cells(flow: np.ndarray) -> np.ndarray:
    """Flow [N, 2, H, W] of a crop, its medians over cells: float64 [N, 2, n, n], px of 224. A few wild pixels of a flow
    are so left out."""
    finite = np.nan_to_num(flow.astype(np.float32), nan=0.0, posinf=_LARGEST, neginf=-_LARGEST)
    return cells(finite, np.median).astype(np.float64) * (SIZE / flow.shape[-1])


def fastest(flow: np.ndarray, regions: Regions) -> float:
    """The displacement, px of 224, that one in a thousand of the skin's pixels exceeds, in the frame where it is
    largest. flow: [N, 2, H, W]."""
    skin = regions.pixels(regions.skin)
    shown = flow[:, :, : skin.shape[0], : skin.shape[1]][:, :, skin].astype(np.float32)
    length = np.nan_to_num(np.hypot(shown[:, 0], shown[:, 1]), nan=_LARGEST, posinf=_LARGEST)
    return float(np.percentile(length, 99.9, axis=1).max() * SIZE / flow.shape[-1])


def head(flows: np.ndarray, regions: Regions) -> Head:
    """The head's motion in flows [N, 2, n, n]: a similarity and a turn, fitted robustly to the skin.

    A head that turns by a small angle, seen from afar, shifts each point by the angle times its depth; its shape is
    taken for an ellipsoid. Fitted by reweighted least squares (Geman-McClure), which leaves alone what moves on its
    own.
    """
    depth = regions.depth - regions.depth[regions.skin].mean()
    one, none = np.ones_like(depth), np.zeros_like(depth)
    x, y = regions.x, regions.y
    # [parameters, 2, n, n]: shift to the right, down; growth; rotation; turn to the side; up and down.
    modes = np.array([[one, none], [none, one], [x, y], [-y, x], [depth, none], [none, depth]])
    basis = modes[:, :, regions.skin]
    found = np.stack([_robust(basis, flow[:, regions.skin]) for flow in flows])
    similar = np.tensordot(found[:, :4], basis[:4], 1)
    return Head(
        rigid=np.sqrt(np.square(similar).sum(axis=1).mean(axis=1)),
        turn=np.rad2deg(np.hypot(found[:, 4], found[:, 5])),
        rest=flows - np.tensordot(found, modes, 1),
    )


def _robust(basis: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Amounts of the modes, basis [P, 2, cells], that make up a flow [2, cells] where most of it agrees: [P]."""
    found = np.zeros(len(basis))
    found[:2] = np.median(flow, axis=1)
    for scale in _SCALES:
        rest = flow - np.tensordot(found, basis, 1)
        weight = (scale**2 / (scale**2 + np.square(rest).sum(axis=0))) ** 2
        normal = np.tensordot(basis * weight, basis, ((1, 2), (1, 2)))
        found = np.linalg.lstsq(normal, np.tensordot(basis * weight, flow, ((1, 2), (0, 1))), rcond=None)[0]
    return found


def course(rest: np.ndarray, regions: Regions) -> np.ndarray:
    """How far the skin's main motion is at each of N frames: float64 [N], px where it is largest.

    rest: [N, 2, n, n], flow without the head's. The main motion is the first singular vector, in space, of all fields.
    """
    amounts, sizes, fields = np.linalg.svd(rest[:, :, regions.skin].reshape(len(rest), -1), full_matrices=False)
    largest = np.hypot(*fields[0].reshape(2, -1)).max()
    along: np.ndarray = amounts[:, 0] * sizes[0] * largest
    return along if along.sum() > 0 else -along


def lids(rest: np.ndarray, regions: Regions) -> np.ndarray:
    """How far both upper lids are down at each of N frames, as compared with the onset: float64 [N], px."""
    left, right = (rest[:, 1, lid].mean(axis=1) for lid in regions.lids)
    return np.minimum(left, right)


def peak_time(curve: np.ndarray, times: np.ndarray, apex: float) -> float:
    """When the motion is at its peak: of all moments with at least 0.9 of the largest, the one nearest to `apex`.

    curve: [N]; times: [N], in any unit.
    """
    high = times[curve >= _HIGH * curve.max()]
    return float(high[np.argmin(np.abs(high - apex))])


def blink(down: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """How far lids went down and, soon, up again (px), and when (s); 0 px where they did neither, or slowly.

    down, seconds: float64 [N], from the onset, where nothing is down, onwards.

    >>> blink(np.array([0, 0, 4.0, 1, 1]), np.arange(5) / 10)
    (3.0, 0.2)
    """
    before = np.minimum.accumulate(down)
    after = np.minimum.accumulate(down[::-1])[::-1]
    swing = down - np.maximum(before, after)
    top = int(np.argmax(swing))
    low = np.flatnonzero(down <= down[top] - swing[top] / 2)
    lasts = seconds[low[low > top].min(initial=len(down) - 1)] - seconds[low[low < top].max(initial=0)]
    return (float(swing[top]), float(seconds[top])) if swing[top] > 0 and lasts <= _BLINK else (0.0, 0.0)
