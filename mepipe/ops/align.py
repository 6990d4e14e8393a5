"""A clip of a face, cropped once and held still: what every later stage sees.

Crops placed by landmarks frame by frame add more motion than a micro-expression has (measured on synthetic ones). So
the crop is placed once per clip, and only the motion of the head as a whole, as `stabilise` finds it, is undone.

In a long clip a head may turn until its onset is no longer found in it. With `reference="windows"` the frame that
motion is measured against is chosen anew from time to time among the aligned ones: the head lies there where it was
found, so nothing jumps from one window to the next, and errors add up from window to window only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal

import numpy as np

from mepipe.ops import landmarker_onset, validity
from mepipe.ops._crop import Near, crop_matrix
from mepipe.ops.landmarks import FACE_OVAL, Landmarker
from mepipe.ops.stabilise import Fit, Stabiliser, apply, compose, invert

# The crop and the landmarks come from the median of so many frames, since one frame's may be off.
_FIRST = 3
# A frame fails when fewer of the followed points are found where the head's motion puts them (to 2 px), when the fit
# has not come to rest, or when half the landmarks lie further from the reference's than this fraction of the crop: a
# head has turned. (How well the best of the points agree says nothing: a smile parts them by as much as a hand.)
_MIN_INLIERS = 0.2
_MAX_LEFT = 0.25
_MAX_DRIFT = 0.05
# A new window begins where fewer points are found, but not sooner than after so many frames, nor where part of the face
# may be hidden. A head may turn so far, all windows together.
_RENEW, _SHORTEST, _CLEAR = 0.7, 8, validity.MAX_HIDDEN / 2
_MAX_TURNED = 0.15
# So many points agreeing vouch for a face that the landmarker misses in a frame.
_VOUCH = 0.4


@dataclass(frozen=True)
class Aligned:
    """An aligned clip of T frames.

    frames: uint8 [T, size, size, C], as many channels as the source.
    numbers: int64 [T], frame numbers of the source.
    landmarks: float32 [478, 2], of the onset frame, in pixels of the crop.
    transforms: float64 [T, 2, 3], pixels of the crop -> pixels of source frame t.
    inliers: float32 [T], fraction of the followed points found where the head's motion puts them, to 2 px: low where
        the face is hidden or the head has turned. 1 where nothing was fitted.
    left: float32 [T], motion in px (rms over the face) that the fit last found; 0 where nothing was fitted.
    sharpness: float32 [T], strength of the face's fine texture, relative to the clip's median (`validity.Look`).
    hidden: float32 [T], share of the face that looks otherwise than at the onset: something before it, say.
    bridged: bool [T], frames that do not show the face as they should: pixels of `frames`, and the transform where
        none could be fitted, are interpolated between the neighbours'. The measures are those of the frame itself.
    apart: median distance in px of the crop between the onset's landmarks and those of a second look.
    references: int64 [W], numbers of the frames that motion was measured against: the onset's, and of further windows.
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
    references: np.ndarray


def align(
    frames: Iterable[tuple[int, np.ndarray]],
    landmarker: Landmarker,
    *,
    size: int = 224,
    margin: float = 0.05,
    stabilise: bool = True,
    reference: Literal["onset", "windows"] = "onset",
    check_every: int = 32,
    min_face: float = 40.0,
) -> Aligned:
    """Crops a clip to size x size pixels and holds the head still; one resampling from source to crop.

    frames: (number, uint8 [H, W, C]) from onset on, C = 1 or 3; read once, one at a time. landmarker: such as
    `landmarks.FaceMesh`; asked on the first three frames (twice on the onset), every `check_every`-th and the last.

    The crop is a square, eyes level, around the face outline plus `margin` (fraction of its longer side) all round.
    With `stabilise`, every frame's rotation, shift and change of size relative to the onset are undone: measured
    against the onset itself or, in long clips where the head turns, the first frame of a window. Beyond the source's
    edge the edge is repeated. A source finer than the crop is smoothed first, so that nothing aliases.

    Up to three frames in a row that are blurred, hidden or lost are bridged, a tenth of the clip at most. Raises
    SampleError, with frame numbers and what was measured, when there is no frame or no face, when the face is narrower
    than `min_face` px in the source or not upright, or when more frames fail (occlusion, a turned head, a cut).
    """
    frames = iter(frames)
    first = list(islice(frames, _FIRST))
    placed, apart = landmarker_onset.place(first, landmarker, size, margin, min_face)
    crop = crop_matrix(np.median(list(placed.values()), axis=0), size, margin)
    onset = apply(invert(crop), placed[0])
    clip = _Clip(crop, size, onset, stabilise)
    unchecked = 0
    for number, frame in chain(first, frames):
        clip.take(number, frame)
        unchecked += 1
        if unchecked >= check_every and number not in clip.faults:
            _check(clip, frame, landmarker, onset)
            unchecked = 0
        if reference == "windows" and clip.is_turning():
            _renew(clip, frame, landmarker)
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
        references=np.array(clip.references, np.int64),
    )


class _Clip:
    """Frames cut out one after another, the head's motion undone, and what is measured of each.

    faults: why frames do not show the face as they should, by number. unfitted: those whose motion is not known.
    lost: why frames cannot be aligned at all: what their landmarks say. landmarks: of the reference, in the crop.
    """

    def __init__(self, crop: np.ndarray, size: int, landmarks: np.ndarray, stabilise: bool) -> None:
        self._crop, self.size, self._stabilise = crop, size, stabilise
        self._before = self._motion = np.eye(2, 3)
        self.stabiliser: Stabiliser | None = None
        self._look: validity.Look | None = None
        self.landmarks = landmarks
        self.references: list[int] = []
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
        near = Near(frame, compose(self._crop, guess), self.size)
        fit = Fit(self._motion, 1.0, 0.0)
        if self.stabiliser is not None:
            fit = self.stabiliser.fit(lambda motion: near.view(compose(self._crop, motion)), guess)
            if fit.inliers >= _MIN_INLIERS and fit.left <= _MAX_LEFT:
                self._before, self._motion = self._motion, fit.matrix
            else:  # the next frame starts from the last good one
                self.faults[number] = "the face does not move as one piece"
                self.unfitted.add(number)
                self._before = self._motion
        matrix = compose(self._crop, self._motion)
        if not near.covers(matrix):
            near = Near(frame, matrix, self.size)
        cut = near.cut(matrix)
        if self._look is None:
            self.refer(number, cut, self.landmarks)
        assert self._look is not None
        self.hidden.append(self._look.hidden(cut))
        if self.stabiliser is not None and self.hidden[-1] > validity.MAX_HIDDEN:
            self.faults.setdefault(number, f"more than {validity.MAX_HIDDEN} of the face is hidden or changed")
        self.textures.append(self._look.texture(cut))
        self.numbers.append(number)
        self.cuts.append(cut)
        self.transforms.append(matrix)
        self.fits.append(fit)

    def refer(self, number: int, cut: np.ndarray, landmarks: np.ndarray) -> None:
        """Measures what comes against this frame, as aligned."""
        mask = _face_mask(landmarks, self.size)
        self._look = validity.Look(cut, mask)
        if self._stabilise:
            self.stabiliser = Stabiliser(validity.gray(cut), mask)
        self.landmarks = landmarks
        self.references.append(number)

    def is_turning(self) -> bool:
        """Whether the head, in the last frame, has turned from the reference, and nothing hides it."""
        number = self.numbers[-1]
        visible = number not in self.faults and self.hidden[-1] < _CLEAR
        return visible and number - self.references[-1] >= _SHORTEST and self.fits[-1].inliers < _RENEW


def _check(clip: _Clip, frame: np.ndarray, landmarker: Landmarker, onset: np.ndarray) -> None:
    """Landmarks of the frame last aligned against those of the reference, and of the onset."""
    found = _landmarks(clip, frame, landmarker)
    if found is None:
        if clip.stabiliser is None or clip.fits[-1].inliers < _VOUCH:
            clip.lost[clip.numbers[-1]] = validity.NO_FACE
    elif _drift(found, clip.landmarks, clip.size) > _MAX_DRIFT or _drift(found, onset, clip.size) > _MAX_TURNED:
        clip.lost[clip.numbers[-1]] = "the head has turned or moved too far"


def _renew(clip: _Clip, frame: np.ndarray, landmarker: Landmarker) -> None:
    """Begins a new window with the frame last aligned, where its face is found."""
    found = _landmarks(clip, frame, landmarker)
    if found is not None:
        clip.refer(clip.numbers[-1], clip.cuts[-1], found)


def _landmarks(clip: _Clip, frame: np.ndarray, landmarker: Landmarker) -> np.ndarray | None:
    """Of the frame last aligned, in pixels of the crop."""
    found = landmarker_onset.near(frame, landmarker, clip.transforms[-1], clip.size)
    return None if found is None else apply(invert(clip.transforms[-1]), found)


def _drift(landmarks: np.ndarray, reference: np.ndarray, size: int) -> float:
    """How far the middle one of the landmarks lies from its place in the reference, as a share of the crop."""
    return float(np.median(np.hypot(*(landmarks - reference).T))) / size


def _face_mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size], 255 inside the face outline, half a tracking window's safety from the background."""
    import cv2

    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks[list(FACE_OVAL)]).astype(np.int32)], (255,))
    return cv2.erode(mask, np.ones((9, 9), np.uint8))
