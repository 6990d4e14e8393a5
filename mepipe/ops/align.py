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

from mepipe.errors import SampleError
from mepipe.ops._crop import Near, part_around
from mepipe.ops.landmarks import FACE_OVAL, LEFT_EYE, RIGHT_EYE, Landmarker, face_width
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
    """

    frames: np.ndarray
    numbers: np.ndarray
    landmarks: np.ndarray
    transforms: np.ndarray
    inliers: np.ndarray
    left: np.ndarray


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
    `landmarks.FaceMesh`; asked on the first three frames, every `check_every`-th and the last.

    The crop is a square, eyes level, around the face outline plus `margin` (fraction of its longer side) all round.
    With `stabilise`, every frame's rotation and shift relative to the onset are undone. Beyond the source's edge the
    edge is repeated. A source finer than the crop is smoothed first, so that nothing aliases.

    Raises SampleError, with the frame numbers, when there is no frame or no face, when the face is narrower than
    `min_face` px in the source, or when frames cannot be aligned (occlusion, a turned head, a cut).
    """
    frames = iter(frames)
    first = list(islice(frames, _FIRST))
    placed = _first_landmarks(first, landmarker, size, margin, min_face)
    crop = _crop_matrix(np.median(list(placed.values()), axis=0), size, margin)
    onset = apply(invert(crop), placed[0])
    before = motion = np.eye(2, 3)
    fit = Fit(motion, 1.0, 0.0)
    stabiliser = None
    if stabilise:
        stabiliser = Stabiliser(Near(first[0][1], crop, size).view(crop), _face_mask(onset, size))
    numbers: list[int] = []
    cuts: list[np.ndarray] = []
    transforms: list[np.ndarray] = []
    fits: list[Fit] = []
    faults: dict[int, str] = {}

    def check(frame: np.ndarray) -> None:
        """Landmarks of the frame last aligned against those of the onset."""
        found = _landmarks_near(frame, landmarker, transforms[-1], size)
        if found is None and (stabiliser is None or fits[-1].inliers < _VOUCH):
            faults[numbers[-1]] = "no face"
        elif found is not None and _drift(found, transforms[-1], onset) > _MAX_DRIFT * size:
            faults[numbers[-1]] = "the head has turned or moved too far"

    for number, frame in chain(first, frames):
        # A head goes on as it went: what is left to find is small, and one look is mostly enough.
        guess = compose(motion, compose(invert(before), motion))
        near = Near(frame, compose(crop, guess), size)
        if stabiliser is not None and numbers:
            fit = stabiliser.fit(partial(_view, near, crop), guess)
            if fit.inliers >= _MIN_INLIERS and fit.left <= _MAX_LEFT:
                before, motion = motion, fit.matrix
            else:  # the next frame starts from the last good one
                faults[number] = "the face does not move as one piece"
                before = motion
        numbers.append(number)
        fits.append(fit)
        transforms.append(compose(crop, motion))
        if not near.covers(transforms[-1]):
            near = Near(frame, transforms[-1], size)
        cuts.append(near.cut(transforms[-1]))
        if len(numbers) % check_every == 0:
            check(frame)
    if len(numbers) % check_every:
        check(frame)
    _refuse(faults, len(numbers))
    held = [apply(invert(transforms[index]), points) for index, points in placed.items()]
    return Aligned(
        frames=np.stack(cuts),
        numbers=np.array(numbers, np.int64),
        landmarks=np.median(held, axis=0).astype(np.float32),
        transforms=np.stack(transforms),
        inliers=np.array([fit.inliers for fit in fits], np.float32),
        left=np.array([fit.left for fit in fits], np.float32),
    )


def _first_landmarks(
    first: list[tuple[int, np.ndarray]], landmarker: Landmarker, size: int, margin: float, min_face: float
) -> dict[int, np.ndarray]:
    """Landmarks, float64 [478, 2] in source pixels, of the first frames, by index; those after the onset may lack."""
    if not first:
        msg = "The clip holds no frame.\nCheck onset and offset in the manifest."
        raise SampleError(msg)
    number, frame = first[0]
    found = landmarker(frame)
    if found is None:
        msg = (
            f"No face in the onset frame {number} ({frame.shape[1]}x{frame.shape[0]} px).\n"
            "Look at the frame: the face may be hidden, turned, or small in a large picture. "
            "Crop the recording around it, or leave the clip out."
        )
        raise SampleError(msg)
    if face_width(found) < min_face:
        msg = (
            f"The face is {face_width(found):.0f} px wide in frame {number}, less than min_face = {min_face:g}.\n"
            "Use a recording of higher resolution, or lower min_face: motion below a tenth of a pixel is lost."
        )
        raise SampleError(msg)
    placed = {0: found.astype(np.float64)}
    crop = _crop_matrix(placed[0], size, margin)
    for index, (_, frame) in enumerate(first[1:], start=1):
        later = _landmarks_near(frame, landmarker, crop, size)
        if later is not None:
            placed[index] = later
    return placed


def _landmarks_near(frame: np.ndarray, landmarker: Landmarker, crop: np.ndarray, size: int) -> np.ndarray | None:
    """Landmarks, float64 [478, 2] in source pixels, of the face in the crop: looked for around it, so that another
    person's face is not taken for it, and a small face is a large part of what is searched."""
    x, y, part = part_around(frame, crop, size, size // 2)
    found = landmarker(np.ascontiguousarray(part))
    return None if found is None else found.astype(np.float64) + np.array([x, y])


def _drift(landmarks: np.ndarray, transform: np.ndarray, onset: np.ndarray) -> float:
    """How far the middle one of the landmarks lies from its place at the onset, in pixels of the crop."""
    return float(np.median(np.hypot(*(apply(invert(transform), landmarks) - onset).T)))


def _refuse(faults: dict[int, str], count: int) -> None:
    """Raises SampleError when frames could not be aligned."""
    if not faults:
        return
    reasons = []
    for reason in dict.fromkeys(faults.values()):
        numbers = [str(number) for number, why in faults.items() if why == reason]
        reasons.append(f"{reason} in {', '.join(numbers[:12])}{' ...' if len(numbers) > 12 else ''}")
    what = "No face" if set(faults.values()) == {"no face"} else "Cannot align"
    msg = (
        f"{what} in {len(faults)} of {count} frames.\n{'; '.join(reasons)}.\n"
        "Look at these frames (something before the face, a turned head, a cut in the recording?) and shorten "
        "onset..offset, or leave the clip out."
    )
    raise SampleError(msg)


def _crop_matrix(landmarks: np.ndarray, size: int, margin: float) -> np.ndarray:
    """The similarity, float64 [2, 3], from the crop's pixels to the source's."""
    x, y = landmarks[list(RIGHT_EYE)].mean(axis=0) - landmarks[list(LEFT_EYE)].mean(axis=0)
    cos, sin = np.array([x, y]) / np.hypot(x, y)
    rotation = np.array([[cos, -sin], [sin, cos]])
    outline = landmarks[list(FACE_OVAL)] @ rotation  # as seen with the eyes level
    low, high = outline.min(axis=0), outline.max(axis=0)
    linear = (high - low).max() * (1 + 2 * margin) / size * rotation
    return np.column_stack([linear, rotation @ ((low + high) / 2) - linear @ np.full(2, (size - 1) / 2)])


def _face_mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size], 255 inside the face outline, half a tracking window's safety from the background."""
    import cv2

    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(landmarks[list(FACE_OVAL)]).astype(np.int32)], (255,))
    return cv2.erode(mask, np.ones((9, 9), np.uint8))


def _view(near: Near, crop: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The crop in gray with a motion undone, uint8 [size, size]: what the stabiliser sees."""
    return near.view(compose(crop, motion))
