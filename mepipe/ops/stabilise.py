"""Motion of a head between two pictures, blind to what moves within the face.

A similarity (rotation, shift, and a change of size as a head comes nearer) is fitted robustly to many local motions
(sparse Lucas-Kanade), so that brows, lids, mouth and speech, which move on their own, are outliers wherever they are.
Registration of a fixed region (ECC, phase correlation) absorbs them instead, and landmarks add their own error, which
is larger than a micro-expression.

Sources: Lucas and Kanade, IJCAI 1981, in Bouguet's pyramidal form (2001); Geman and McClure (Bull. ISI 52, 1987),
by reweighted least squares with a shrinking scale (Black and Rangarajan, IJCV 19, 1996).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Points followed. 200 do as well on sharp portraits, but on real faces a sixth more motion is left.
_POINTS = 300
_SPACING = 5
# What varies over more than about so many pixels (a box) is light, not texture; 17 to 41 do equally well.
_SHADING = 27
# Where the first look at full size finds too few points, it is taken in a quarter of the size, then in half of it.
_LEVELS = 2
_ENOUGH = 0.6
# A window is found again where it correlates so well with the reference's. Hardly matters: what is wrong is an outlier.
_MATCH = 0.5
# The first scales take in motion that the start does not know of; the last is about the error of one point, so that
# a brow that moves by a tenth of a pixel is left out.
_SCALES = np.geomspace(0.5, 0.05, 12)
# No scale below twice the distance that 30 % of the points keep within: where nothing is rigid to .05 px (a head that
# turns while speaking) the fit would otherwise settle on whatever few points agree by chance.
_SPREAD, _QUANTILE = 2.0, 0.3
# A point is trusted as far as it kept with the head in the last ten pictures or so: speech, which comes and goes, is
# known by the skin that it moved before. Without this it leaves three times as much of the head's motion.
_MEMORY, _LEAST = 0.1, 0.02
# To keep with the head is to be within about so many px, or times the distance that 30 % of the points keep within.
_NEAR, _NEAR_SPREAD = 0.1, 1.5
# Brows that rise look like a face that grows, by up to so much; and heads do not come nearer by less that matters
# (.03 px). So small a growth is taken for the face's own (non-negative garrote: Breiman, Technometrics 37, 1995).
_DOUBT = 0.001
# One look errs by a tenth of what it finds, since Lucas-Kanade interpolates linearly.
_CONVERGED = 0.1
_MAX_LOOKS = 5
_INLIER = 2.0
# Below this a fit rests on too little to be called one.
_MIN_POINTS = 24


@dataclass(frozen=True)
class Fit:
    """How a picture lies relative to the reference.

    matrix: float64 [2, 3], a similarity: reference pixels -> pixels of the picture.
    inliers: fraction of the reference's points that are found again within 2 px of where the matrix puts them; the
        others moved on their own, were hidden or lost.
    left: motion in px, rms over the points, that the last look still found: below 0.1 when the fit has converged.
    """

    matrix: np.ndarray
    inliers: float
    left: float


class Stabiliser:
    """Finds how later pictures of a face lie relative to `reference`, one after another: it remembers which of its
    points keep with the head.

    reference: uint8 [H, W]. mask: uint8 [H, W], not 0 where the face is. `points`, float32 [N, 2], are what it follows.
    Windows of the reference and their gradients are taken once; each picture costs its texture and a few steps a point
    (inverse compositional: Baker and Matthews, IJCV 56, 2004).
    """

    def __init__(self, reference: np.ndarray, mask: np.ndarray) -> None:
        import cv2

        from mepipe.ops import _stabilise_kernels as kernels

        corners = cv2.goodFeaturesToTrack(reference, _POINTS, 1e-3, _SPACING, mask=mask, blockSize=7)
        self.points = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
        self._levels = []
        room = np.array([kernels.WIDTH // 2 + 1, kernels.HEIGHT // 2 + 1])
        for level, texture in enumerate(_pyramid(_texture(reference), _LEVELS)):
            places = np.rint(self.points[:: level + 1] / 2**level).astype(np.int32)
            inside = (places >= room) & (places < np.array(texture.shape[::-1]) - room)
            places = np.ascontiguousarray(places[inside.all(axis=1)])
            self._levels.append((places, kernels.windows(texture, places)))
        self._trust = np.ones(len(self._levels[0][0]))

    def fit(self, view: Callable[[np.ndarray], np.ndarray], start: np.ndarray) -> Fit:
        """The fit to the picture that `view(matrix)` shows, uint8 [H, W], after undoing `matrix` by one resampling.

        `start` is the matrix to begin with, such as the previous picture's. It looks again after undoing what it
        found, until little is left, at most five times. No inliers when fewer than 24 points can be followed.
        """
        matrix = start
        for look in range(_MAX_LOOKS):
            texture = _texture(view(matrix))
            grown = float(np.sqrt(np.linalg.det(matrix[:, :2]))) - 1
            kept, step, distance = self._step(texture, np.eye(2, 3), grown)
            if look == 0 and self._share(distance) < _ENOUGH:
                kept, step, distance = self._step(texture, self._coarse(texture, grown), grown)
            if len(distance) < _MIN_POINTS:
                return Fit(start, 0.0, np.inf)
            matrix = compose(matrix, step)
            points = self._levels[0][0][kept]
            left = float(np.sqrt(((apply(step, points) - points) ** 2).sum(axis=1).mean()))
            if left < _CONVERGED:
                break
        self._remember(kept, distance)
        return Fit(matrix, self._share(distance), left)

    def _step(self, texture: np.ndarray, start: np.ndarray, grown: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which points were found again, bool [N]; the motion they follow; the distance of those found from it."""
        kept, points, moved = self._follow(0, texture, start)
        if len(points) < _MIN_POINTS:
            return kept, start, np.zeros(0)
        return kept, *fit_similarity(points, moved, self._trust[kept], grown)

    def _coarse(self, texture: np.ndarray, grown: float) -> np.ndarray:
        """The motion as seen in smaller pictures: for large steps."""
        step = np.eye(2, 3)
        pyramid = _pyramid(texture, _LEVELS)
        for level in range(_LEVELS, 0, -1):
            _, points, moved = self._follow(level, pyramid[level], step)
            if len(points) >= _MIN_POINTS:
                step, _ = fit_similarity(points, moved, np.ones(len(points)), grown)
        return step

    def _follow(self, level: int, texture: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which points were found again, bool [N]; those, float64 [M, 2]; and where."""
        from mepipe.ops import _stabilise_kernels as kernels

        places, windows = self._levels[level]
        points = places.astype(np.float64) * 2**level
        found = kernels.follow(texture, places, windows, apply(start, points) / 2**level)
        kept = found[:, 2] > _MATCH
        return kept, points[kept], found[kept, :2].astype(np.float64) * 2**level

    def _share(self, distance: np.ndarray) -> float:
        return float((distance < _INLIER).sum() / max(len(self.points), 1))

    def _remember(self, kept: np.ndarray, distance: np.ndarray) -> None:
        """Trusts the points by how near they keep to the head, now and lately."""
        square = max(_NEAR, _NEAR_SPREAD * float(np.quantile(distance, _QUANTILE))) ** 2
        now = np.full(len(kept), _LEAST)
        now[kept] = np.maximum((square / (square + distance**2)) ** 2, _LEAST)
        self._trust += _MEMORY * (now - self._trust)


def _texture(picture: np.ndarray) -> np.ndarray:
    """A picture without its shading, float32 [H, W]: grey levels about 0.

    Lucas-Kanade takes a change of light for motion: a drift of 2 % left .05 px rms after the fit, and .01 px so.
    """
    import cv2

    return picture.astype(np.float32) - cv2.boxFilter(picture, cv2.CV_32F, (_SHADING, _SHADING))


def _pyramid(texture: np.ndarray, levels: int) -> list[np.ndarray]:
    """The texture and so many times half of it."""
    import cv2

    pictures = [texture]
    for _ in range(levels):
        pictures.append(cv2.pyrDown(pictures[-1]))
    return pictures


def fit_similarity(
    points: np.ndarray, moved: np.ndarray, trust: np.ndarray, grown: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The similarity, float64 [2, 3], that most of `points` -> `moved` ([N, 2]) follow; and each one's distance.

    Geman-McClure: a point at distance r weighs (s^2 / (s^2 + r^2))^2, with s from the spread of the motions down to
    0.05 px, times its `trust` [N]. `grown`: by what share the face is larger before; little growth in all is not
    believed. The angle is taken as small (error 1 % of its effect at 8 degrees), which the next look of
    `Stabiliser.fit` takes out.
    """
    from mepipe.ops import _stabilise_kernels as kernels

    centre, shift, (angle, growth) = kernels.settle(points, moved, trust, _SCALES, _SPREAD, _QUANTILE, grown, _DOUBT)
    cos, sin = (1 + growth) * np.cos(angle), (1 + growth) * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([linear, centre + shift - linear @ centre])
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
