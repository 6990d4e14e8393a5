"""How much of the head's motion alignment left between two crops, measured by other means than `stabilise`'s.

Dense flow (DIS) in place of followed corners; Cauchy's weights of one scale in place of Geman and McClure's of a
shrinking one, so that all of the face has a say; nothing remembered from other frames; and a standard error, from how
the answer changes when one patch of skin in eight is left out (block jackknife: Künsch, Annals of Statistics 17, 1989).
What it says where the answer is known: `test_residual.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mepipe.ops.landmarks import FACE_OVAL

_STEP, _PATCH, _GROUPS = 4, 28, 8
_SCALE = 0.2


@dataclass(frozen=True)
class Left:
    """What is left in one frame against the onset: px of the crop, rms over the face.

    rigid: shift and rotation. growth: change of size. error: standard error of the three together.
    apart: median distance of the skin from that motion, by what moves on its own.
    """

    rigid: float
    growth: float
    error: float
    apart: float


def left(onset: np.ndarray, frame: np.ndarray, landmarks: np.ndarray) -> Left:
    """Of two crops, uint8 [size, size, C], within the outline of the landmarks."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(_gray(onset), _gray(frame), None)
    mask = np.zeros(flow.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks[list(FACE_OVAL)]).astype(np.int32)], (1,))
    y, x = (axis * _STEP for axis in np.nonzero(mask[::_STEP, ::_STEP]))
    place = x + 1j * y
    place = place - place.mean()
    motion = flow[y, x].astype(np.float64) @ (1, 1j)
    shift, turn = _fit(place, motion)
    group = (x // _PATCH + 3 * (y // _PATCH)) % _GROUPS
    without = np.array([_fit(place[group != k], motion[group != k]) for k in range(_GROUPS)])
    arm = float(np.sqrt((np.abs(place) ** 2).mean()))
    moved = np.abs(without - without.mean(axis=0)) * (1, arm)
    return Left(
        rigid=float(np.hypot(abs(shift), turn.imag * arm)),
        growth=abs(turn.real) * arm,
        error=float(np.sqrt((_GROUPS - 1) / _GROUPS * np.square(moved).sum())),
        apart=float(np.median(np.abs(motion - shift - turn * place))),
    )


def _fit(place: np.ndarray, motion: np.ndarray) -> tuple[complex, complex]:
    """Shift, and growth + i angle, that most motions follow: x + iy of the place and of its motion."""
    weight = np.ones(len(place))
    for _ in range(20):
        middle, mean = np.average(place, weights=weight), np.average(motion, weights=weight)
        arm = place - middle
        turn = (weight * arm.conj()) @ (motion - mean) / (weight @ np.abs(arm) ** 2)
        shift = mean - turn * middle
        weight = 1 / (1 + np.abs(motion - shift - turn * place) ** 2 / _SCALE**2)
    return shift, turn


def _gray(crop: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) if crop.shape[2] == 3 else np.ascontiguousarray(crop[:, :, 0])
