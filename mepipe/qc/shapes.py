"""Measures of landmarks: against the same person's in other samples, and of the left against the right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from mepipe.ops.landmarks import to_68
from mepipe.qc.regions import SIZE

_OTHERS = 3  # of so many others the median is not moved by one that is wrong
# In the 68-point scheme, the point at the same place of the other half of the face.
_MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46), *(39, 38, 37, 36, 41, 40),
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip


def points(landmarks: np.ndarray, size: int) -> np.ndarray:
    """The 68 points of a mesh [478, 2] in a crop of size x size: complex128 [68], x + iy, px of 224."""
    x, y = (to_68(landmarks).astype(np.float64) * (SIZE / size)).T
    return x + 1j * y


def onto(shape: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A shape, complex [n], shifted, rotated and scaled so that it is nearest to another."""
    centred, there = shape - shape.mean(), other - other.mean()
    amount = np.vdot(centred, there) / max(float(np.vdot(centred, centred).real), 1e-9)
    moved: np.ndarray = amount * centred + other.mean()
    return moved


def apart(shape: np.ndarray, other: np.ndarray) -> float:
    """How far two shapes, complex [n], differ once one is brought onto the other: px, rms."""
    return float(np.sqrt(np.square(np.abs(onto(shape, other) - other)).mean()))


def asymmetry(shape: np.ndarray) -> float:
    """How far points, complex [68], lie from where the mirrored face has them, halved: px, rms.

    0 for a symmetric face seen from the front; it grows as the head turns to the side.
    """
    return apart(-shape.conj()[_MIRROR], shape) / 2


def strangeness(shapes: Mapping[str, np.ndarray], subjects: Mapping[str, str]) -> dict[str, float]:
    """For each sample how far its points lie from the median of the same subject's other samples: px, rms.

    shapes: complex [68] by sample. Samples of subjects with fewer than three others are left out.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for sample in shapes:
        groups[subjects[sample]].append(sample)
    found = {}
    for samples in groups.values():
        if len(samples) > _OTHERS:
            first = shapes[samples[0]]
            level = np.stack([onto(shapes[sample], first) for sample in samples])
            for index, sample in enumerate(samples):
                others = np.delete(level, index, axis=0)
                middle = np.median(others.real, axis=0) + 1j * np.median(others.imag, axis=0)
                found[sample] = apart(level[index], middle)
    return found
