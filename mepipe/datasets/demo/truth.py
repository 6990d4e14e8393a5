"""Ground truth of a demo clip: where every skin point of the onset frame is in every other frame, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mepipe.errors import MepipeError

_ARRAYS = ("peak", "course", "shift", "angle", "gain", "noise")


@dataclass(frozen=True, eq=False)
class Truth:
    """The motion that a clip was rendered with, in pixels of its frames.

    A skin point at x in the onset frame is at R_t(x + course[t] * peak(x)) in frame t, where R_t turns about the
    picture's centre by angle[t] and then moves by shift[t].

    peak: float32 [2, H, W], displacement by the action units at the apex (x right, y down), at onset pixels.
    course: float64 [T], 0 at the onset, 1 at the apex. shift: float64 [T, 2], px. angle: float64 [T], radians,
    positive from x towards y (clockwise as seen). gain: float64 [T], factor of the light.
    noise: float64 [2], sensor variance = noise[0] + noise[1] * grey level.
    first: number of the onset frame. apex: index of the apex frame. scale: frame pixels per pixel of a 224 px crop.
    """

    peak: np.ndarray
    course: np.ndarray
    shift: np.ndarray
    angle: np.ndarray
    gain: np.ndarray
    noise: np.ndarray
    first: int
    apex: int
    scale: float
    aus: str

    def __len__(self) -> int:
        return len(self.course)

    @property
    def numbers(self) -> np.ndarray:
        """Frame numbers, int64 [T], as in the file names."""
        return self.first + np.arange(len(self))

    def displacement(self, index: int) -> np.ndarray:
        """Motion by the action units alone from the onset to the frame at `index` (0 = onset), float32 [2, H, W]."""
        return (self.course[index] * self.peak).astype(np.float32)

    def rigid(self, index: int) -> np.ndarray:
        """The head's motion to the frame at `index`, float64 [2, 3]: [A | b], x -> A x + b, the identity at 0."""
        height, width = self.peak.shape[1:]
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        cos, sin = np.cos(self.angle[index]), np.sin(self.angle[index])
        turn = np.array([[cos, -sin], [sin, cos]])
        return np.column_stack([turn, centre - turn @ centre + self.shift[index]])

    def total(self, index: int) -> np.ndarray:
        """Both together, the flow from the onset frame to the frame at `index`: float32 [2, H, W]."""
        height, width = self.peak.shape[1:]
        start = np.mgrid[:height, :width][::-1].astype(np.float64)
        moved = start + self.course[index] * self.peak
        affine = self.rigid(index)
        ended = np.einsum("ij,jyx->iyx", affine[:, :2], moved) + affine[:, 2, None, None]
        return (ended - start).astype(np.float32)


def save(path: Path, truth: Truth) -> None:
    """Write a clip's truth as .npz: plain arrays, no pickle; the same truth gives the same bytes."""
    arrays = {name: getattr(truth, name) for name in _ARRAYS}
    scalars = {name: np.array(getattr(truth, name)) for name in ("first", "apex", "scale", "aus")}
    np.savez_compressed(path, **arrays, **scalars)


def load(path: Path) -> Truth:
    """The truth that `save` wrote. MepipeError when there is none, or when the file is not one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _ARRAYS}
            first, apex, scale, aus = (file[name].item() for name in ("first", "apex", "scale", "aus"))
    except FileNotFoundError:
        msg = f"No ground truth at {path}. Only clips of a demo have one; make a demo with: mepipe demo OUT"
        raise MepipeError(msg) from None
    except (OSError, ValueError, KeyError) as error:
        msg = f"{path}: not a demo's ground truth ({error}). Delete the demo folder and make it again."
        raise MepipeError(msg) from None
    return Truth(**arrays, first=first, apex=apex, scale=scale, aus=aus)
