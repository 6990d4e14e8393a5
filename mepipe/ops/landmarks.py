"""Facial landmarks: 478 points per face, by MediaPipe Face Mesh.

Anything callable as `landmarker(frame) -> float32 [478, 2] | None` can take its place in `align`.

Source: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs" (CVPRW 2019); the
iris points 468..477 are those of Grishchenko et al., "Attention Mesh" (CVPRW 2020). Index constants are positions
in that mesh; left and right are the viewer's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mepipe.errors import MepipeError, UsageError

N_LANDMARKS = 478
# The outline of the face, clockwise from the middle of the forehead (mediapipe's FACEMESH_FACE_OVAL, put in order).
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# Eye corners of the left and of the right eye in the picture, outer and inner.
LEFT_EYE = (33, 133)
RIGHT_EYE = (263, 362)
# Where the width of a face is measured: in front of the ears, at the height of the eyes.
FACE_SIDES = (127, 356)
# The 68 points of the Multi-PIE/iBUG 300-W scheme (Sagonas et al., ICCV workshops 2013), in its order: the mesh point
# at each place. Of the outline's points along the jaw, those nearest to equal steps (in five people, to half a step).
POINTS_68 = (
    *(127, 234, 93, 132, 172, 136, 149, 176, 152, 400, 378, 365, 397, 361, 323, 454, 356),  # 0..16: jaw
    *(70, 63, 105, 66, 107),  # 17..21: brow, from the temple
    *(336, 296, 334, 293, 300),  # 22..26: brow, from the nose
    *(168, 197, 5, 4),  # 27..30: bridge of the nose, down to the tip
    *(75, 97, 2, 326, 305),  # 31..35: under the nose
    *(33, 160, 158, 133, 153, 144),  # 36..41: eye, clockwise from the outer corner
    *(362, 385, 387, 263, 373, 380),  # 42..47: eye, clockwise from the inner corner
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # 48..59: outer lips, clockwise from the corner
    *(78, 82, 13, 312, 308, 317, 14, 87),  # 60..67: inner lips, clockwise from the corner
)

Landmarker = Callable[[np.ndarray], "np.ndarray | None"]


class FaceMesh:
    """Finds the most prominent face of a frame: uint8 [H, W, C] -> float32 [478, 2] in pixels, or None.

    C is 1 or 3 (RGB). Every frame is searched on its own (no tracking), so the answer does not depend on what was
    asked before. A face narrower than about 50 px, or a small part of the picture, is often not found: the built-in
    detector is the short-range one; `landmarker_onset.search` finds it. That a face is found does not say that it is
    visible: with a hand before it, landmarks are still given. Pixel (0, 0) has its centre at (0, 0).

    Use it as a context manager, or `close` it: it holds an inference graph and its threads.
    """

    def __init__(self) -> None:
        mesh = _mesh()
        with quiet_stderr():
            self._mesh = mesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)
            # The graph starts in threads of its own; an answer means that it has started (and said so).
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        self._chatty = True  # until each of its models has run once, which takes a face

    def __call__(self, frame: np.ndarray) -> np.ndarray | None:
        picture = rgb(frame)
        with quiet_stderr() if self._chatty else nullcontext():
            faces = self._mesh.process(picture).multi_face_landmarks
        if not faces:
            return None
        self._chatty = False
        return in_pixels(faces[0].landmark, picture)

    def close(self) -> None:
        """Frees the inference graph."""
        self._mesh.close()

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _mesh() -> Any:
    """MediaPipe's class of the face mesh; MepipeError where this MediaPipe has none."""
    try:
        from mepipe.ops._face_mesh import FaceMesh
    except ModuleNotFoundError:
        import mediapipe

        msg = (
            f"mediapipe {mediapipe.__version__} has no face mesh of its own; 0.10 has.\n"
            "Say --landmarker face-landmarker (in a recipe, under align: landmarker: face-landmarker), and get its "
            "weights: mepipe weights fetch face-landmarker, or download them elsewhere and run "
            "mepipe weights add face-landmarker FILE."
        )
        raise MepipeError(msg) from None
    return FaceMesh


def rgb(frame: np.ndarray) -> np.ndarray:
    """A frame, uint8 [H, W, 1 or 3], as uint8 [H, W, 3]; UsageError where it is none."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] not in (1, 3):
        msg = (
            f"A frame must be uint8 [height, width, 1 or 3], not {frame.dtype} {list(frame.shape)}.\n"
            "Decode it with mepipe.datasets.clips, or convert it first."
        )
        raise UsageError(msg)
    return np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))


def in_pixels(points: Iterable[Any], picture: np.ndarray) -> np.ndarray:
    """MediaPipe's points, fractions of a picture [H, W, 3], in its pixels: float32 [N, 2]."""
    height, width = picture.shape[:2]
    fractions = np.array([(p.x, p.y) for p in points], np.float64)
    # Of the picture's extent, whose edge lies half a pixel outside the first pixel's centre.
    return (fractions * (width, height) - 0.5).astype(np.float32)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drops what is written to file descriptor 2.

    MediaPipe's C++ side notes there what it builds, past any log level that can be set from Python, in every worker.
    Its errors come as exceptions.
    """
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def face_width(landmarks: np.ndarray) -> float:
    """Distance in pixels between the sides of the face, landmarks 127 and 356, of [478, 2]."""
    left, right = landmarks[list(FACE_SIDES)].astype(np.float64)
    return float(np.hypot(*(right - left)))


def to_68(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [..., 478, 2] of the mesh -> [..., 68, 2], the points of the 68-point scheme.

    Chosen by anatomy, part by part; the mesh has a point at every corner, tip and edge that the scheme names. Along the
    jaw no feature marks a place: there points are only in order and about evenly spaced.
    """
    return landmarks[..., list(POINTS_68), :]
