"""Placing a square on a face and cutting it out of a frame, for alignment alone."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from mepipe.ops.landmarks import FACE_OVAL, LEFT_EYE, RIGHT_EYE
from mepipe.ops.stabilise import apply

# A frame is smoothed around where the face is expected; the crop may lie so far from there, in its pixels.
_REACH = 16


class Near:
    """The part of a frame, uint8 [H, W, C], around a crop to size x size pixels, smoothed so that nothing aliases.

    `matrix` maps pixels of the crop to the frame's, as do those of the methods; all have one scale.
    """

    def __init__(self, frame: np.ndarray, matrix: np.ndarray, size: int) -> None:
        import cv2

        self._size = size
        self._matrix = matrix
        self._pitch = float(np.hypot(*matrix[:, 0]))  # source pixels per pixel of the crop
        # What takes a picture of pixels of one size to one of larger pixels, a pixel taken as a Gaussian of .5.
        blur = 0.5 * np.sqrt(max(self._pitch**2 - 1, 0))
        x, y, self._part = part_around(frame, matrix, size, _REACH + 4 + 3 * blur / self._pitch)
        self._corner = np.array([[0, 0, x], [0, 0, y]])
        if blur > 0.2:
            self._part = cv2.GaussianBlur(self._part, (0, 0), blur, borderType=cv2.BORDER_REPLICATE)

    def covers(self, matrix: np.ndarray) -> bool:
        """Whether the crop of this matrix lies in the part, or beyond the frame's edge."""
        corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (self._size - 1.0)
        away = apply(matrix, corners) - apply(self._matrix, corners)
        return bool(np.hypot(*away.T).max() <= _REACH * self._pitch)

    def view(self, matrix: np.ndarray) -> np.ndarray:
        """The crop in gray, uint8 [size, size]."""
        import cv2

        # Only fits are made to it, which lose nothing measurable by linear interpolation.
        return self._warp(self._gray, matrix, cv2.INTER_LINEAR)

    @cached_property
    def _gray(self) -> np.ndarray:
        import cv2

        colour = self._part.shape[2:] == (3,)
        return cv2.cvtColor(self._part, cv2.COLOR_RGB2GRAY) if colour else self._part

    def cut(self, matrix: np.ndarray) -> np.ndarray:
        """The crop, uint8 [size, size, C]."""
        import cv2

        # Lanczos takes three times as long, and flow is as good by this.
        cut = self._warp(self._part, matrix, cv2.INTER_CUBIC)
        return cut if cut.ndim == 3 else cut[:, :, None]

    def _warp(self, part: np.ndarray, matrix: np.ndarray, how: int) -> np.ndarray:
        import cv2

        flags = cv2.WARP_INVERSE_MAP | how
        extent = (self._size, self._size)
        return cv2.warpAffine(part, matrix - self._corner, extent, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def part_around(frame: np.ndarray, matrix: np.ndarray, size: int, pad: float) -> tuple[int, int, np.ndarray]:
    """x, y and pixels of the part of a frame that a crop with `pad` px around it needs; at least one pixel."""
    low, high = -pad, size - 1 + pad
    corners = apply(matrix, np.array([[low, low], [low, high], [high, low], [high, high]]))
    limits = np.array([frame.shape[1], frame.shape[0]])
    start = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, limits - 1)
    stop = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, start + 1, limits)
    return int(start[0]), int(start[1]), frame[start[1] : stop[1], start[0] : stop[0]]


def crop_matrix(landmarks: np.ndarray, size: int, margin: float) -> np.ndarray:
    """The similarity, float64 [2, 3], from the crop's pixels to the source's."""
    x, y = landmarks[list(RIGHT_EYE)].mean(axis=0) - landmarks[list(LEFT_EYE)].mean(axis=0)
    cos, sin = np.array([x, y]) / np.hypot(x, y)
    rotation = np.array([[cos, -sin], [sin, cos]])
    outline = landmarks[list(FACE_OVAL)] @ rotation  # as seen with the eyes level
    low, high = outline.min(axis=0), outline.max(axis=0)
    linear = (high - low).max() * (1 + 2 * margin) / size * rotation
    return np.column_stack([linear, rotation @ ((low + high) / 2) - linear @ np.full(2, (size - 1) / 2)])
