"""Rigid motion of a face between two pictures, blind to what moves within the face.

A rotation and a shift are fitted robustly to many local motions (sparse Lucas-Kanade), so that brows, lids, mouth
and speech, which move on their own, are outliers wherever they are. Registration of a fixed region (ECC, phase
correlation) absorbs them instead, and landmarks add their own error, which is larger than a micro-expression.

Sources: Lucas and Kanade, IJCAI 1981, in Bouguet's pyramidal form (2001); Geman and McClure (Bull. ISI 52, 1987),
by reweighted least squares with a shrinking scale (Black and Rangarajan, IJCV 19, 1996).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Points followed, and the pixels that each is compared in: more and larger gain nothing measurable, and cost.
_POINTS = 200
_SPACING = 5
_WINDOW = 21
# What varies over more than about so many pixels is light, not texture; 5 to 12 do equally well.
_SHADING = 8.0
# The first look may find large steps; later ones start next to the answer.
_LEVELS, _LEVELS_LATER = 3, 1
# The first scales take in motion that the start does not know of; the last is about the error of one point, so that
# a brow that moves by a tenth of a pixel is left out.
_SCALES = tuple(np.geomspace(0.5, 0.05, 12))
# No scale below 1.5 times the distance that 30 % of the points keep within: where nothing is rigid to .05 px (a
# head that turns while speaking) the fit would otherwise settle on whatever few points agree by chance.
_SPREAD, _QUANTILE = 1.5, 0.3
_CONVERGED = 0.03
_MAX_LOOKS = 5
_INLIER = 2.0
# Below this a fit rests on too little to be called one.
_MIN_POINTS = 24


@dataclass(frozen=True)
class Fit:
    """How a picture lies relative to the reference.

    matrix: float64 [2, 3], a rotation and a shift: reference pixels -> pixels of the picture.
    inliers: fraction of the reference's points that follow the matrix to 2 px; the others moved on their own, were
        hidden or lost.
    left: motion in px, rms over the points, that the last look still found: below 0.03 when the fit has converged.
    """

    matrix: np.ndarray
    inliers: float
    left: float


class Stabiliser:
    """Finds how later pictures of a face lie relative to `reference`.

    reference: uint8 [H, W]. mask: uint8 [H, W], not 0 where the face is. `points`, float32 [N, 2], are what it follows.
    """

    def __init__(self, reference: np.ndarray, mask: np.ndarray) -> None:
        import cv2

        corners = cv2.goodFeaturesToTrack(reference, _POINTS, 1e-3, _SPACING, mask=mask, blockSize=7)
        self.points = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
        self._reference = _texture(reference)

    def fit(self, view: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> Fit:
        """The fit to the picture that `view(matrix)` shows, uint8 [H, W], after undoing `matrix` by one resampling.

        `start` is the matrix to begin with, such as the previous picture's. It looks again after undoing what it
        found, until nothing is left, at most five times. No inliers when fewer than 24 points can be followed.
        """
        matrix = start
        for look in range(_MAX_LOOKS):
            points, moved = self._follow(view(matrix), _LEVELS_LATER if look else _LEVELS)
            if len(points) < _MIN_POINTS:
                return Fit(start, 0.0, np.inf)
            step, distance = fit_rigid(points, moved)
            matrix = compose(matrix, step)
            left = float(np.sqrt(((apply(step, points) - points) ** 2).sum(axis=1).mean()))
            if left < _CONVERGED:
                break
        return Fit(matrix, float((distance < _INLIER).sum() / len(self.points)), left)

    def _follow(self, picture: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
        """Points that were found again, float64 [N, 2], and where."""
        import cv2

        if len(self.points) == 0:
            return np.zeros((0, 2)), np.zeros((0, 2))
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            self._reference,
            _texture(picture),
            self.points,
            np.empty_like(self.points),
            winSize=(_WINDOW, _WINDOW),
            maxLevel=levels,
            criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.01),
        )
        kept = found.ravel() == 1
        return self.points[kept].astype(np.float64), moved[kept].astype(np.float64)


def _texture(picture: np.ndarray) -> np.ndarray:
    """A picture without its shading, uint8 [H, W]: grey levels about 128.

    Lucas-Kanade takes a change of light for motion: a drift of 2 % left .05 px rms after the fit, and .01 px so.
    """
    import cv2

    grey = picture.astype(np.float32)
    return np.clip(np.rint(grey - cv2.GaussianBlur(grey, (0, 0), _SHADING) + 128), 0, 255).astype(np.uint8)


def fit_rigid(points: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and shift, float64 [2, 3], that most of `points` -> `moved` ([N, 2]) follow; and each one's distance.

    Geman-McClure: a point at distance r weighs (s^2 / (s^2 + r^2))^2, with s from the spread of the motions down to
    0.05 px. The angle is taken as small (error 1 % of its effect at 8 degrees), which the next look of
    `Stabiliser.fit` takes out.
    """
    centre = points.mean(axis=0)
    arm = points - centre
    turn = np.stack([-arm[:, 1], arm[:, 0]], axis=1)  # motion per radian
    motion = moved - points
    shift, angle = np.median(motion, axis=0), 0.0
    spread = float(np.median(np.hypot(*(motion - shift).T)))
    near = int(_QUANTILE * len(points))
    for scale in (max(4 * spread, 1.0), max(2 * spread, 0.7), *_SCALES):
        rest = motion - shift - angle * turn
        square = (rest**2).sum(axis=1)
        scale = max(scale, _SPREAD * float(np.sqrt(np.partition(square, near)[near])))
        weight = (scale**2 / (scale**2 + square)) ** 2
        weight = weight[:, None] / weight.sum()
        mean_turn, mean_motion = (weight * turn).sum(axis=0), (weight * motion).sum(axis=0)
        lever = turn - mean_turn
        angle = float((weight * lever * (motion - mean_motion)).sum() / (weight * lever**2).sum())
        shift = mean_motion - angle * mean_turn
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([rotation, centre + shift - rotation @ centre])
    return matrix, np.hypot(*(apply(matrix, points) - moved).T)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points [N, 2] moved by an affine matrix [2, 3]."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The affine matrix [2, 3] that applies `inner` first, then `outer`."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def invert(matrix: np.ndarray) -> np.ndarray:
    """The affine matrix [2, 3] that undoes this one."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])
