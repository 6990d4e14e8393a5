"""Where the parts of a face are in an aligned crop, on a grid of cells of about 4 px of 224."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.path import Path
from scipy.spatial import ConvexHull

from mepipe.ops.landmarks import FACE_OVAL

SIZE = 224  # of the crop that pixels are quoted for, whatever a crop's own size
ACROSS = 56  # cells along each side of the crop
# Rim of each eye and lower edge of its brow, in the face mesh: between them is the skin that a blink moves.
_RIMS = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
)
_BROWS = ((46, 53, 52, 65, 55), (276, 283, 282, 295, 285))
# Of the way from the eye's middle to the brow, lids reach so far; and so far their edge, which a blink moves most and a
# brow least.
_LID, _EDGE = 0.8, 0.4
# Skin: the face's outline, so much smaller, without the eyes and lids, so much larger.
_INSIDE, _AROUND = 0.92, 1.3
# A head is taken for an ellipsoid so much wider and higher than its face, and as deep as it is wide.
_HEAD = 1.2


@dataclass(frozen=True, eq=False)
class Regions:
    """Cells [n, n] of a face, and where they are.

    side: of a cell, in pixels of the crop. face: bool, inside the outline. skin: bool, the face without eyes and lids.
    lids: bool, of each eye the opening and the upper lid's edge. x, y: float64, to the right and down from the face's
    middle, px of 224. depth: float64, towards the viewer, px of 224.
    """

    side: int
    face: np.ndarray
    skin: np.ndarray
    lids: tuple[np.ndarray, np.ndarray]
    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray

    def pixels(self, chosen: np.ndarray) -> np.ndarray:
        """Chosen cells, bool [n, n], as pixels: bool [side * n, side * n], the part of the crop that cells cover."""
        return np.kron(chosen, np.ones((self.side, self.side), bool))


def cells(field: np.ndarray, middle: Callable[..., np.ndarray] = np.mean, across: int = ACROSS) -> np.ndarray:
    """Means (or medians) over cells of a picture [..., H, W], H = W: float32 [..., n, n], n being `across` or more."""
    side = _side(field.shape[-1], across)
    count = field.shape[-1] // side
    cut = field[..., : count * side, : count * side].astype(np.float32)
    return middle(cut.reshape(*field.shape[:-2], count, side, count, side), axis=(-3, -1))


def of(landmarks: np.ndarray, size: int) -> Regions:
    """The regions of a face whose mesh, [478, 2], is in pixels of a crop of size x size."""
    side = _side(size)
    centres = side * np.arange(size // side) + (side - 1) / 2
    x, y = np.meshgrid(centres, centres)
    points = np.column_stack([x.ravel(), y.ravel()])
    outline = landmarks[list(FACE_OVAL)].astype(np.float64)
    middle = outline.mean(axis=0)

    def inside(polygon: np.ndarray, larger: float = 1.0) -> np.ndarray:
        centre = polygon.mean(axis=0)
        found: np.ndarray = Path(centre + larger * (polygon - centre)).contains_points(points)
        return found.reshape(x.shape)

    eyes = [(landmarks[list(rim)], landmarks[list(brow)]) for rim, brow in zip(_RIMS, _BROWS, strict=True)]
    around = np.any([inside(_eye(rim, brow, _LID), _AROUND) for rim, brow in eyes], axis=0)
    lids = [inside(_eye(rim, brow, _EDGE)) for rim, brow in eyes]
    scale = SIZE / size
    half = _HEAD * np.ptp(outline, axis=0) / 2
    round_about = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2
    return Regions(
        side=side,
        face=inside(outline),
        skin=inside(outline, _INSIDE) & ~around,
        lids=(lids[0], lids[1]),
        x=(x - middle[0]) * scale,
        y=(y - middle[1]) * scale,
        depth=half[0] * scale * np.sqrt(np.clip(1 - round_about, 0, 1)),
    )


def _side(size: int, across: int = ACROSS) -> int:
    return max(1, size // across)


def _eye(rim: np.ndarray, brow: np.ndarray, share: float) -> np.ndarray:
    """The outline of an eye with its upper lid, a share of the way up to the brow."""
    middle = rim.mean(axis=0)
    around = np.vstack([rim, middle + share * (brow - middle)]).astype(np.float64)
    return around[ConvexHull(around).vertices]
