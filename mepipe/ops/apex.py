"""Apex spotting: at which moment of an aligned clip the expression is strongest.

The motion curve is how far the skin has moved since the onset, by optical flow over the face with the eyes left out
(flow in facial regions: Ma, An, Wu and Yang, "A Region Histogram of Oriented Optical Flow (RHOOF) Feature for Apex
Frame Spotting in Micro-expression", ISPACS 2017). Plain flow magnitude adds up noise, the sway of the head and every
movement beside the expression. So what is left of the head's motion is fitted and taken out first, and then only the
clip's main motion counts: the one field which, growing and shrinking, explains most of all flows (their first singular
vector). Noise, which is as often against it as along it, adds nothing to it on average.

The apex is the highest peak of the curve, or the one that divide and conquer chooses (Liong, See, Wong, Le Ngo, Oh and
Phan, "Automatic Apex Frame Spotting in Micro-expression Database", ACPR 2015). It is then read between the sampled
frames by a least-squares fit to the top of the curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mepipe.errors import SampleError
from mepipe.ops import sampling, tvl1
from mepipe.ops.landmarks import FACE_OVAL, face_width

Method = Literal["peak", "divide-and-conquer"]

# Flow is taken to so many frames, and to more where these would lie further apart than this many seconds: a
# micro-expression of 0.5 s costs as much as the flow of 16 frames, and a movement as quick as 0.1 s is not missed.
_FRAMES, _STEP = 16, 0.035
# The rim of each eye and the lower edge of its brow, in the face mesh.
_EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
_BROWS = ((46, 53, 52, 65, 55), (276, 283, 282, 295, 285))
# A blink moves the lid's skin up to near the brow; this far from the eye's centre to the brow is left out, and this
# part of the face's width all around.
_LID, _RIM = 0.8, 0.03
_ACROSS = 28  # cells along each side of the crop: 8 px of 224
# Cells that move otherwise than the head, by more than these (px, in turn), have less and less say in how it moves.
_SCALES = (0.5, 0.3, 0.2, 0.12, 0.08, 0.05)
_TOP = 0.5  # the fit takes the curve around its peak down to this part of it


@dataclass(frozen=True)
class Spotted:
    """Where the apex is, and how that was seen.

    apex: index into the frames, fractional. at: float64 [N], indices that flow was taken to, 0 first.
    curve: float64 [N], px, the main motion since the onset where it is largest; 0 at the onset.
    share: of all motion (sum of squares over face and frames), how much is the main motion, 0..1. Low where there is
    nothing but noise, or more than one movement.
    """

    apex: float
    at: np.ndarray
    curve: np.ndarray
    share: float

    @property
    def peak(self) -> float:
        """The main motion where and when it is largest, px."""
        return float(self.curve.max())


def spot(grey: np.ndarray, landmarks: np.ndarray, fps: float, method: Method = "peak") -> Spotted:
    """Find the apex in an aligned clip.

    grey: uint8 or float32 [T, H, W] in 0..255, T >= 3, onset first. landmarks: [478, 2], pixels, of the onset frame.
    fps: of these frames. method: which peak of the curve.

    SampleError: fewer than three frames, or nothing moves.
    """
    count = len(grey)
    if count < 3:
        msg = f"spot-apex: {count} frames, and an apex lies between two others. Check onset and offset."
        raise SampleError(msg)
    wanted = min(count, max(_FRAMES, 1 + int(np.ceil((count - 1) / fps / _STEP))))
    where = np.floor(np.linspace(0, count - 1, wanted) + 0.5)
    frames = sampling.at(grey, where, sampling.smoothing_width(fps))
    flows, place = _cells(tvl1.flow(frames[0], frames[1:]), regions(landmarks, grey.shape[1:]))
    curve, share = _main_motion(_without_head(flows, place))
    if not curve.max() > 0:
        msg = f"spot-apex: nothing moves in {count} frames. Is this one picture, repeated? Look at the clip."
        raise SampleError(msg)
    top = int(np.argmax(curve)) if method == "peak" else divide_and_conquer(curve)
    return Spotted(float(np.clip(_summit(where, curve, top), 1, count - 1)), where, curve, share)


def regions(landmarks: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where motion counts, bool [H, W]: brows, cheeks, nose, mouth, chin; not the eyes and lids, because of blinks."""
    import cv2

    face = np.zeros(shape, np.uint8)
    cv2.fillPoly(face, [np.rint(landmarks[list(FACE_OVAL)]).astype(np.int32)], (1,))
    eyes = np.zeros(shape, np.uint8)
    for rim, brow in zip(_EYES, _BROWS, strict=True):
        eye = landmarks[list(rim)]
        lid = eye.mean(axis=0) + _LID * (landmarks[list(brow)] - eye.mean(axis=0))
        hull = cv2.convexHull(np.rint(np.vstack([eye, lid])).astype(np.int32))
        cv2.fillConvexPoly(eyes, hull, (1,))
    radius = max(1, round(_RIM * face_width(landmarks)))
    round_about = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return (face > 0) & (cv2.dilate(eyes, round_about) == 0)


def divide_and_conquer(curve: np.ndarray) -> int:
    """The index of the peak that is left when, again and again, only the half of the curve is kept whose peaks sum to
    more (Liong et al. 2015).

    >>> divide_and_conquer(np.array([0, 3, 0, 0, 0, 0, 2, 1, 2, 0]))
    6
    """
    padded = np.concatenate([[-np.inf], curve, [-np.inf]])
    is_peak = (curve >= padded[:-2]) & (curve > padded[2:])
    first, last = 0, len(curve)
    while is_peak[first:last].sum() > 1:
        middle = (first + last) // 2
        halves = [(curve * is_peak)[part].sum() for part in (slice(first, middle), slice(middle, last))]
        first, last = (first, middle) if halves[0] >= halves[1] else (middle, last)
    return first + int(np.argmax(is_peak[first:last]))


def _cells(flow: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean flow in the cells of a grid of which half or more is inside: float64 [N, 2, cells]; and where these cells
    are: [2, cells], x and y in -1..1 over the crop."""
    side = max(1, min(inside.shape) // _ACROSS)
    rows, columns = (length // side for length in inside.shape)

    def added_up(field: np.ndarray) -> np.ndarray:
        cut = field[..., : rows * side, : columns * side]
        return cut.reshape(*field.shape[:-2], rows, side, columns, side).sum(axis=(-3, -1), dtype=np.float64)

    area = added_up(inside)
    kept = area >= 0.5 * side**2
    if not kept.any():
        msg = "spot-apex: the landmarks leave no part of the face in the picture. Look at the clip: is it aligned?"
        raise SampleError(msg)
    y, x = np.nonzero(kept)
    place = np.stack([x / (columns - 1), y / (rows - 1)]) * 2 - 1
    return added_up(flow * inside)[..., kept] / area[kept], place


def _without_head(flows: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Flows [N, 2, cells] less the motion of the head that alignment left: a face is round, and one that turns a little
    moves by a field that is quadratic in x and y. Fitted by reweighted least squares (Geman-McClure), which leaves
    alone what moves on its own."""
    x, y = place
    model = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    left = []
    for field in flows:
        rest = field - np.median(field, axis=1, keepdims=True)
        for scale in _SCALES:
            trust = (scale**2 / (scale**2 + np.square(rest).sum(axis=0)))[:, None]  # root of the weight
            rest = field - (model @ np.linalg.lstsq(model * trust, field.T * trust, rcond=None)[0]).T
        left.append(rest)
    return np.stack(left)


def _main_motion(flows: np.ndarray) -> tuple[np.ndarray, float]:
    """How far the main motion is at the onset and at each of the flows [N, 2, cells]: float64 [N + 1], px where it is
    largest; and its share of all motion."""
    amounts, sizes, fields = np.linalg.svd(flows.reshape(len(flows), -1), full_matrices=False)
    largest = np.hypot(*fields[0].reshape(2, -1)).max()
    curve = amounts[:, 0] * sizes[0] * largest
    total = float(np.square(sizes).sum())
    share = float(sizes[0] ** 2 / total) if total else 0.0
    return np.concatenate([[0.0], curve if curve.sum() > 0 else -curve]), share


def _summit(where: np.ndarray, curve: np.ndarray, top: int) -> float:
    """Where the curve is highest near its sample `top`, between the samples too: the summit of two half parabolas, one
    rising and one falling as they like, which fit the curve's upper part best."""
    high = curve > _TOP * curve[top]
    below = np.flatnonzero(~high)
    first = max(below[below < top], default=-1) + 1
    last = min(below[below > top], default=len(curve)) - 1
    # Three samples on either side of a peak as narrow as that.
    part = slice(min(first, max(top - 2, 0)), max(last, min(top + 2, len(curve) - 1)) + 1)
    x, y = where[part], curve[part]
    fits = []
    for summit in np.arange(x[0], x[-1] + 0.1, 0.25):
        away = x - summit
        model = np.column_stack([np.ones_like(x), np.minimum(away, 0) ** 2, np.maximum(away, 0) ** 2])
        found = np.linalg.lstsq(model, y, rcond=None)[0]
        if (found[1:] <= 0).all():
            fits.append((float(np.square(model @ found - y).sum()), float(summit)))
    return min(fits)[1] if fits else float(where[top])
