"""How the demo's faces move: action units as displacement fields, their time course, the head's rigid motion.

The fields are after the descriptions in the FACS manual (Ekman, Friesen and Hager 2002): plausible, not measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from mepipe.errors import UsageError

# A face is 180 px wide in a 224 px crop (1.25 face widths), the scale at which motion is quoted everywhere.
CROP_FACE_WIDTH = 180.0


@dataclass(frozen=True)
class Pull:
    """One bump of an action unit, in face widths: around a landmark, shifted outwards and down by `shift`,
    with radii `reach`, moving the skin along `by` (outwards, down)."""

    landmark: str
    by: tuple[float, float]
    reach: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)


ACTION_UNITS: dict[int, tuple[Pull, ...]] = {
    1: (Pull("brow_inner", (0.0, -1.0), (0.22, 0.20), (0.0, -0.04)),),
    2: (Pull("brow_outer", (0.1, -1.0), (0.22, 0.20), (-0.05, -0.05)),),
    4: (
        Pull("brow_inner", (-0.5, 0.8), (0.22, 0.18), (0.0, -0.02)),
        Pull("brow_mid", (-0.2, 0.45), (0.22, 0.16)),
    ),
    5: (Pull("upper_lid", (0.0, -0.7), (0.15, 0.09)),),
    6: (
        Pull("cheek", (0.2, -0.8), (0.24, 0.20), (0.02, -0.04)),
        Pull("lower_lid", (0.0, -0.4), (0.16, 0.10), (0.02, 0.03)),
    ),
    7: (
        Pull("lower_lid", (0.0, -0.8), (0.17, 0.10), (0.0, 0.02)),
        Pull("upper_lid", (0.0, 0.4), (0.15, 0.08)),
    ),
    9: (
        Pull("nose_wing", (-0.1, -1.0), (0.17, 0.20), (0.0, -0.04)),
        Pull("brow_inner", (-0.2, 0.4), (0.18, 0.16)),
    ),
    10: (
        Pull("nose_wing", (0.0, -0.9), (0.17, 0.18), (0.0, 0.07)),
        Pull("fold", (0.1, -0.5), (0.18, 0.18)),
    ),
    12: (
        Pull("mouth_corner", (0.8, -0.65), (0.20, 0.18), (0.02, 0.0)),
        Pull("fold", (0.35, -0.5), (0.20, 0.20)),
    ),
    14: (
        Pull("mouth_corner", (1.0, -0.05), (0.16, 0.14), (0.01, 0.0)),
        Pull("mouth_corner", (-0.3, 0.0), (0.14, 0.14), (0.14, 0.0)),
    ),
    15: (
        Pull("mouth_corner", (0.15, 1.0), (0.18, 0.16), (0.01, 0.02)),
        Pull("mouth_corner", (0.0, 0.3), (0.16, 0.16), (0.0, 0.12)),
    ),
    17: (
        Pull("chin", (0.0, -1.0), (0.26, 0.15), (0.0, -0.11)),
        Pull("lower_lip", (0.0, -0.5), (0.22, 0.12)),
    ),
    20: (Pull("mouth_corner", (1.0, 0.35), (0.20, 0.16), (0.02, 0.0)),),
    23: (
        Pull("mouth_corner", (-0.7, 0.0), (0.17, 0.12)),
        Pull("upper_lip", (0.0, 0.4), (0.18, 0.09)),
        Pull("lower_lip", (0.0, -0.5), (0.18, 0.09)),
    ),
}

# FACS intensity, A (trace) to E (maximum); a unit without a letter counts as C.
_INTENSITY = {"A": 0.4, "B": 0.7, "": 1.0, "C": 1.0, "D": 1.25, "E": 1.5}
# Weights of (image left, image right), that is of the person's (right, left): a face looks at the camera.
_SIDES = {"": (1.0, 1.0), "R": (1.0, 0.0), "L": (0.0, 1.0), "A": (1.0, 0.45)}


def bumps(aus: str, landmarks: dict[str, np.ndarray], width: float) -> np.ndarray:
    """The displacement field of action units as bumps, float64 [n, 6] in pixels, vectors in face widths.

    aus: units joined by '+', each with an optional side (L, R, or A for asymmetric) and intensity (A..E), as in
    'L14', '6B+12C', '1+2+5'. UsageError for a unit that the demo cannot draw.
    """
    rows: list[list[float]] = []
    for token in aus.replace(" ", "").split("+"):
        match = re.fullmatch(r"([LRA]?)(\d+)([A-E]?)", token)
        if match is None or int(match[2]) not in ACTION_UNITS:
            known = ", ".join(map(str, ACTION_UNITS))
            msg = f"Action unit {token!r} of {aus!r} cannot be drawn. Known: {known}; L, R, A before, A..E after."
            raise UsageError(msg)
        weight = _INTENSITY[match[3]]
        for pull in ACTION_UNITS[int(match[2])]:
            points = landmarks[pull.landmark]
            sides = zip(points, (-1, 1), _SIDES[match[1]], strict=True) if len(points) == 2 else [(points[0], 1, 1.0)]
            for (x, y), outwards, share in sides:
                if share:
                    centre = x + outwards * pull.shift[0] * width, y + pull.shift[1] * width
                    vector = outwards * pull.by[0] * weight * share, pull.by[1] * weight * share
                    rows.append([*centre, pull.reach[0] * width, pull.reach[1] * width, *vector])
    return np.array(rows)


def time_course(frames: int, apex: int, residual: float = 0.0, rise: float = 1.0, fall: float = 1.0) -> np.ndarray:
    """How far the expression is at each frame, float64 [frames]: 0 at the onset, 1 at `apex`, `residual` at the end.

    Raised cosines on both sides, so that it starts, turns and ends without a jerk; `rise` and `fall` bend their
    time axes (above 1: later). apex is an index, 0 < apex < frames; residual is within 0..1.
    """
    if not 0 < apex < frames or not 0 <= residual <= 1 or min(rise, fall) <= 0:
        msg = (
            f"No time course with {frames} frames, apex {apex}, residual {residual}, rise {rise}, fall {fall}. "
            "Needed: 0 < apex < frames, residual within 0..1, rise and fall above 0."
        )
        raise UsageError(msg)
    up = np.arange(apex + 1) / apex
    course = 0.5 - 0.5 * np.cos(np.pi * up**rise)
    down = np.arange(1, frames - apex) / max(frames - 1 - apex, 1)
    fallen = 0.5 - 0.5 * np.cos(np.pi * down**fall)
    return np.concatenate([course, 1 - (1 - residual) * fallen])


def smooth_path(rng: np.random.Generator, frames: int, sigma: float) -> np.ndarray:
    """A smooth random path, float64 [frames]: standard deviation `sigma` over the clip, moved to start at 0.

    Four sinusoids of at most two periods per clip: at 200 fps, that is the slow sway of a head held still.
    """
    time = np.arange(frames) / max(frames, 2)
    path = np.zeros(frames)
    for _ in range(4):
        path += rng.normal() * np.sin(2 * np.pi * (rng.uniform(0.3, 2.0) * time + rng.uniform()))
    spread = path.std()
    return np.zeros(frames) if spread == 0 or sigma == 0 else (path - path[0]) * (sigma / spread)
