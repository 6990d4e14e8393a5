"""A drawn face: a mesh whose outline, eyes and brows are where a frontal face has them, and all points symmetric."""

from __future__ import annotations

import numpy as np

from mepipe.ops.landmarks import FACE_OVAL
from mepipe.qc import regions


def mesh(size: int = 224) -> np.ndarray:
    """float32 [478, 2] in a crop of size x size."""
    points = np.full((478, 2), 112.0)
    turn = 2 * np.pi * np.arange(len(FACE_OVAL)) / len(FACE_OVAL)
    points[list(FACE_OVAL)] = np.column_stack([112 + 88 * np.sin(turn), 115 - 100 * np.cos(turn)])
    for (rim, brow), middle in zip(zip(regions._RIMS, regions._BROWS, strict=True), (74.0, 150.0), strict=True):
        around = 2 * np.pi * np.arange(len(rim)) / len(rim)
        points[list(rim)] = np.column_stack([middle + 18 * np.cos(around), 92 + 7 * np.sin(around)])
        points[list(brow)] = np.column_stack([middle + np.linspace(-20, 20, len(brow)), np.full(len(brow), 66.0)])
    return (points * size / 224).astype(np.float32)


def face(size: int = 224) -> regions.Regions:
    """Its regions."""
    return regions.of(mesh(size), size)
