"""A clip of a face, cropped once and held still: what every later stage sees.

Crops placed by landmarks frame by frame add more motion than a micro-expression has (measured on synthetic ones). So
the crop is placed once per clip, and only the rigid motion of the head, as `stabilise` finds it, is undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np

from mepipe.ops import landmarker_onset, validity
from mepipe.ops._crop import Near, crop_matrix
from mepipe.ops.landmarks import FACE_OVAL, Landmarker
from mepipe.ops.stabilise import Fit, Stabiliser, apply, compose, invert

# The crop and the landmarks come from the median of so many frames, since one frame's may be off.
_FIRST = 3
# A frame fails when fewer of the followed points are found where a rigid motion puts them (to 2 px), when the fit has
# not come to rest, or when half the landmarks lie further from the onset's than this fraction of the crop: a head has
# turned.
_MIN_INLIERS = 0.2
_MAX_LEFT = 0.25
_MAX_DRIFT = 0.05
# So many points agreeing vouch for a face that the landmarker misses in a frame.
_VOUCH = 0.4


@dataclass(frozen=True)
class Aligned:
    """An aligned clip of T frames.

    frames: uint8 [T, size, size, C], as many channels as the source.
    numbers: int64 [T], frame numbers of the source.
    landmarks: float32 [478, 2], of the onset frame, in pixels of the crop.
    transforms: float64 [T, 2, 3], pixels of the crop -> pixels of source frame t.
    inliers: float32 [T], fraction of the followed points found where the rigid motion puts them, to 2 px: low where
        the face is hidden or the head has turned. 1 where nothing was fitted.
    left: float32 [T], rigid motion in px (rms over the face) that the fit last found; 0 where nothing was fitted.
    sharpness: float32 [T], strength of the face's fine texture, relative to the clip's median (`validity.Look`).
    hidden: float32 [T], share of the face that looks otherwise than at the onset: something before it, say.
    bridged: bool [T], frames that do not show the face as they should: pixels of `frames`, and the transform where
        none could be fitted, are interpolated between the neighbours'. The measures are those of the frame itself.
    apart: median distance in px of the crop between the onset's landmarks and those of a second look.
    """

    frames: np.ndarray
    numbers: np.ndarray
    landmarks: np.ndarray
    transforms: np.ndarray
    inliers: np.ndarray
    left: np.ndarray
    sharpness: np.ndarray
    hidden: np.ndarray
    bridged: np.ndarray
    apart: float


def align(
    frames: Iterable[tuple[int, np.ndarray]],
    landmarker: Landmarker,
    *,
    size: int = 224,
    margin: float = 0.05,
    stabilise: bool = True,
    check_every: int = 32,
    min_face: float = 40.0,
) -> Aligned:
    """Crops a clip to size x size pixels and holds the head still; one resampling from source to crop.

    frames: (number, uint8 [H, W, C]) from onset on, C = 1 or 3; read once, one at a time. landmarker: such as
    `landmarks.FaceMesh`; asked on the first three frames (twice on the onset), every `check_every`-th and the last.

    The crop is a square, eyes level, around the face outline plus `margin` (fraction of its longer side) all round.
    With `stabilise`, every frame's rotation and shift relative to the onset are undone. Beyond the source's edge the
    edge is repeated. A source finer than the crop is smoothed first, so that nothing aliases.

    Up to three frames in a row that are blurred, hidden or lost are bridged, a tenth of the clip at most. Raises
    SampleError, with frame numbers and what was measured, when there is no frame or no face, when the face is narrower
    than `min_face` px in the source or not upright, or when more frames fail (occlusion, a turned head, a cut).
    """
    frames = iter(frames)
    first = list(islice(frames, _FIRST))
    placed, apart = landmarker_onset.place(first, landmarker, size, margin, min_face)
    crop = crop_matrix(np.median(list(placed.values()), axis=0), size, margin)
    onset = apply(invert(crop), placed[0])
    clip = _Clip(crop, size, _face_mask(onset, size), stabilise)
    unchecked = 0
    for number, frame in chain(first, frames):
        clip.take(number, frame)
        unchecked += 1
        if unchecked >= check_every and number not in clip.faults:
            _check(clip, frame, landmarker, onset)
            unchecked = 0
    if unchecked and number not in clip.faults:
        _check(clip, frame, landmarker, onset)
    inliers, left = (np.array([getattr(fit, name) for fit in clip.fits], np.float32) for name in ("inliers", "left"))
    sharpness = validity.relative(np.array(clip.textures))
    for number, sharp in zip(clip.numbers, sharpness, strict=True):
        if sharp < validity.MIN_SHARPNESS:
            clip.faults.setdefault(number, f"blurred: less than {validity.MIN_SHARPNESS} of the clip's sharpness")
            clip.unfitted.add(number)  # what was fitted to a blur is not to be trusted
    bridged = np.array([number in clip.faults for number in clip.numbers])
    if clip.lost or not validity.may_bridge(bridged):
        measured = {"inliers": inliers, "left, px": left, "sharpness": sharpness, "hidden": np.array(clip.hidden)}
        validity.refuse(clip.faults | clip.lost, clip.numbers, measured)
    validity.bridge(clip.cuts, bridged)
    validity.bridge(clip.transforms, bridged & np.isin(clip.numbers, list(clip.unfitted)))
    held = [apply(invert(clip.transforms[index]), points) for index, points in placed.items()]
    return Aligned(
        frames=np.stack(clip.cuts),
        numbers=np.array(clip.numbers, np.int64),
        landmarks=np.median(held, axis=0).astype(np.float32),
        transforms=np.stack(clip.transforms),
        inliers=inliers,
        left=left,
        sharpness=sharpness.astype(np.float32),
        hidden=np.array(clip.hidden, np.float32),
        bridged=bridged,
        apart=apart,
    )


class _Clip:
    """Frames cut out one after another, the head's motion undone, and what is measured of each.

    faults: why frames do not show the face as they should, by number. unfitted: those whose motion is not known.
    lost: why frames cannot be aligned at all: what their landmarks say.
    """

    def __init__(self, crop: np.ndarray, size: int, mask: np.ndarray, stabilise: bool) -> None:
        self._crop, self._size, self._mask, self._stabilise = crop, size, mask, stabilise
        self._before = self._motion = np.eye(2, 3)
        self.stabiliser: Stabiliser | None = None
        self._look: validity.Look | None = None
        self.numbers: list[int] = []
        self.cuts: list[np.ndarray] = []
        self.transforms: list[np.ndarray] = []
        self.fits: list[Fit] = []
        self.textures: list[float] = []
        self.hidden: list[float] = []
        self.faults: dict[int, str] = {}
        self.unfitted: set[int] = set()
        self.lost: dict[int, str] = {}

    def take(self, number: int, frame: np.ndarray) -> None:
        """Aligns the next frame."""
        # A head goes on as it went: what is left to find is small, and one look is mostly enough.
        guess = compose(self._motion, compose(invert(self._before), self._motion))
        near = Near(frame, compose(self._crop, guess), self._size)
        fit = Fit(self._motion, 1.0, 0.0)
        if self.stabiliser is not None:
            fit = self.stabiliser.fit(partial(_view, near, self._crop), guess)
            if fit.inliers >= _MIN_INLIERS and fit.left <= _MAX_LEFT:
                self._before, self._motion = self._motion, fit.matrix
            else:  # the next frame starts from the last good one
                self.faults[number] = "the face does not move as one piece"
                self.unfitted.add(number)
                self._before = self._motion
        matrix = compose(self._crop, self._motion)
        if not near.covers(matrix):
            near = Near(frame, matrix, self._size)
        cut = near.cut(matrix)
        if self._look is None:
            self._look = validity.Look(cut, self._mask)
            if self._stabilise:
                self.stabiliser = Stabiliser(near.view(self._crop), self._mask)
        self.hidden.append(self._look.hidden(cut))
        if self.stabiliser is not None and self.hidden[-1] > validity.MAX_HIDDEN:
            self.faults.setdefault(number, f"more than {validity.MAX_HIDDEN} of the face is hidden or changed")
        self.textures.append(self._look.texture(cut))
        self.numbers.append(number)
        self.cuts.append(cut)
        self.transforms.append(matrix)
        self.fits.append(fit)


def _check(clip: _Clip, frame: np.ndarray, landmarker: Landmarker, onset: np.ndarray) -> None:
    """Landmarks of the frame last aligned against those of the onset."""
    size = clip.cuts[0].shape[0]
    found = landmarker_onset.near(frame, landmarker, clip.transforms[-1], size)
    if found is None and (clip.stabiliser is None or clip.fits[-1].inliers < _VOUCH):
        clip.lost[clip.numbers[-1]] = validity.NO_FACE
    elif found is not None and _drift(found, clip.transforms[-1], onset) > _MAX_DRIFT * size:
        clip.lost[clip.numbers[-1]] = "the head has turned or moved too far"


def _drift(landmarks: np.ndarray, transform: np.ndarray, onset: np.ndarray) -> float:
    """How far the middle one of the landmarks lies from its place at the onset, in pixels of the crop."""
    return float(np.median(np.hypot(*(apply(invert(transform), landmarks) - onset).T)))


def _face_mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size], 255 inside the face outline, half a tracking window's safety from the background."""
    import cv2

    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks[list(FACE_OVAL)]).astype(np.int32)], (255,))
    return cv2.erode(mask, np.ones((9, 9), np.uint8))


def _view(near: Near, crop: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The crop in gray with a motion undone, uint8 [size, size]: what the stabiliser sees."""
    return near.view(compose(crop, motion))
