"""The face of a clip: found in its first frame, however small, and looked at twice, since found is not visible.

Small faces, which the short-range detectors of Face Mesh and Face Landmarker miss in a large picture, are looked for in
parts of it. On three people 50 px wide in 480 x 270 that finds as many as MediaPipe's full-range detector (40 frames
of 41; this, 41), which is no longer there in MediaPipe 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mepipe.errors import SampleError
from mepipe.ops._crop import Near, crop_matrix, part_around
from mepipe.ops.landmarks import LEFT_EYE, RIGHT_EYE, Landmarker, face_width
from mepipe.ops.stabilise import apply, invert

# A face is found from about a sixth of the part's side on.
_FACES_ACROSS = 6
# A face is looked at again, level, in a picture so many times as wide as the crop. In 70 frames of 8 people, a hand
# before the face or not, the landmarks then lay 0.2 to 2 % of the crop from the first ones, in the median (of faces
# below 50 px up to 1.5 px of the source); and 3 to 40 %, or nowhere, where the landmarker had taken an upside-down face
# for an upright one. So far apart, as a share of the crop or in px of the source, is no face.
_WIDER = 1.3
_MAX_APART, _MAX_APART_SOURCE = 0.027, 1.8
# How often np.rot90 turns a frame, and what a person would do.
_TURNS = {1: "90 degrees to the left", 2: "180 degrees", 3: "90 degrees to the right"}


def place(
    first: list[tuple[int, np.ndarray]], landmarker: Landmarker, size: int, margin: float, min_face: float
) -> tuple[dict[int, np.ndarray], float]:
    """Landmarks, float64 [478, 2] in source pixels, of the first frames, by index; those after the onset may lack.

    And how far those of the onset lie, in the median, from those of a second look, in pixels of the crop. first,
    landmarker and errors: as `align`.
    """
    if not first:
        msg = "The clip holds no frame.\nCheck onset and offset in the manifest."
        raise SampleError(msg)
    number, frame = first[0]
    found = search(frame, landmarker, min_face)
    if found is None:
        msg = (
            f"No face in the onset frame {number} ({frame.shape[1]}x{frame.shape[0]} px).\n"
            "Look at the frame: the face may be hidden, turned, or small in a large picture. "
            f"Crop the recording around it, or leave the clip out.{_turned(frame, landmarker, size)}"
        )
        raise SampleError(msg)
    if face_width(found) < min_face:
        msg = (
            f"The face is {face_width(found):.0f} px wide in frame {number}, less than min_face = {min_face:g}.\n"
            "Use a recording of higher resolution, or lower min_face: motion below a tenth of a pixel is lost."
        )
        raise SampleError(msg)
    apart, limit = _apart(found, frame, landmarker, size)
    if apart > limit:
        where = "are not found again" if np.isinf(apart) else f"lie {apart:.1f} px elsewhere"
        msg = (
            f"What was found in the onset frame {number} is no face that can be aligned.\nLooked at again, close and "
            f"level, its landmarks {where} (at most {limit:.1f} px of a {size} px crop).\n"
            "Look at the frame: the face may be upside down, turned or hidden. Turn the recording upright, or leave "
            f"the clip out.{_turned(frame, landmarker, size)}"
        )
        raise SampleError(msg)
    placed = {0: found.astype(np.float64)}
    crop = crop_matrix(placed[0], size, margin)
    for index, (_, frame) in enumerate(first[1:], start=1):
        later = near(frame, landmarker, crop, size)
        if later is not None:
            placed[index] = later
    return placed, apart


def search(frame: np.ndarray, landmarker: Landmarker, narrowest: float) -> np.ndarray | None:
    """Landmarks, float32 [478, 2] in pixels of a frame, uint8 [H, W, C]; None where there is no face.

    Of the most prominent face that the landmarker finds in the whole frame. Where it finds none there, of the widest in
    squares that overlap by half: as large as they fit, then half as large until a face of `narrowest` px would be
    found, or one is.
    """
    found = landmarker(frame)
    if found is not None:
        return found
    side = min(frame.shape[:2])
    while True:
        faces = [
            points + np.array([x, y], np.float32)
            for x, y in _corners(frame.shape, side)
            if (points := landmarker(np.ascontiguousarray(frame[y : y + side, x : x + side]))) is not None
        ]
        if faces:
            return max(faces, key=face_width)
        if side <= _FACES_ACROSS * narrowest:
            return None
        side //= 2


def near(frame: np.ndarray, landmarker: Landmarker, crop: np.ndarray, size: int) -> np.ndarray | None:
    """Landmarks, float64 [478, 2] in source pixels, of the face in the crop: looked for around it, so that another
    person's face is not taken for it, and a small face is a large part of what is searched."""
    x, y, part = part_around(frame, crop, size, size // 2)
    found = landmarker(np.ascontiguousarray(part))
    return None if found is None else found.astype(np.float64) + np.array([x, y])


def _corners(shape: tuple[int, ...], side: int) -> Iterator[tuple[int, int]]:
    """Left and top of squares that overlap by at least half and cover the picture."""
    tops, lefts = (
        np.linspace(0, extent - side, int(np.ceil(2 * (extent / side - 1))) + 1).astype(int) for extent in shape[:2]
    )
    yield from ((int(left), int(top)) for top in tops for left in lefts)


def _apart(landmarks: np.ndarray, frame: np.ndarray, landmarker: Landmarker, size: int) -> tuple[float, float]:
    """Pixels of the crop between landmarks and those of a second look, in the median, and how many there may be.

    Infinitely many where the second look finds none.
    """
    wide = crop_matrix(landmarks.astype(np.float64), size, (_WIDER - 1) / 2)
    limit = max(_MAX_APART * size, _MAX_APART_SOURCE * _WIDER / float(np.hypot(*wide[:, 0])))
    again = landmarker(Near(frame, wide, size).cut(wide))
    if again is None:
        return np.inf, limit
    return _WIDER * float(np.median(np.hypot(*(again - apply(invert(wide), landmarks)).T))), limit


def _turned(frame: np.ndarray, landmarker: Landmarker, size: int) -> str:
    """What to say where a frame shows an upright face once it is turned; else nothing."""
    for times, how in _TURNS.items():
        around = np.ascontiguousarray(np.rot90(frame, times))
        found = landmarker(around)
        if found is None:
            continue
        x, y = found[list(RIGHT_EYE)].mean(axis=0) - found[list(LEFT_EYE)].mean(axis=0)
        apart, limit = _apart(found, around, landmarker, size)
        if x > abs(y) and apart <= limit:
            return f"\nTurned by {how} it shows an upright face: so turn the recording."
    return ""
