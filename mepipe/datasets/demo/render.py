"""Clips from specifications: a face, action units, a time course, a head that sways, a light, a sensor.

frames, truth = clip(ClipSpec(Person("hopper"), aus="6+12", peak=1.5, frames=40, apex=16, head_motion=0))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.ndimage import spline_filter

from mepipe.datasets.demo import bumps as local
from mepipe.datasets.demo import motion, portraits
from mepipe.datasets.demo.portraits import Person
from mepipe.datasets.demo.truth import Truth
from mepipe.errors import UsageError

# Standard deviations of the head's motion over a clip, at the scale of a 224 px crop (measurements.md, 1).
HEAD_SHIFT, HEAD_TURN = 0.9, np.deg2rad(0.4)
READ_VARIANCE, SHOT_VARIANCE = 2.0**2, 0.02
_PAD = 16


@dataclass(frozen=True)
class ClipSpec:
    """All that decides a clip. Each random effect has its own stream of `seed`: switching one off keeps the others.

    aus: see `motion.bumps`. peak: largest displacement, pixels at the scale of a 224 px crop.
    frames, apex (an index), residual, rise, fall: see `motion.time_course`.
    head_motion: in multiples of 0.9 px and 0.4 degrees at 224 px. drift: largest relative change of the light.
    noise: standard deviation in multiples of sqrt(2² + 0.02 * grey level). first: number of the onset frame.
    """

    person: Person
    aus: str
    peak: float
    frames: int
    apex: int
    residual: float = 0.1
    rise: float = 1.0
    fall: float = 1.0
    head_motion: float = 1.0
    drift: float = 0.02
    noise: float = 1.0
    first: int = 0
    seed: tuple[int, ...] = (0,)


def truth_of(spec: ClipSpec, size: tuple[int, int] = portraits.FRAME) -> Truth:
    """The motion of a clip without rendering it; `size` is (height, width) of the frames."""
    return _plan(spec, size)[0]


def clip(spec: ClipSpec, size: tuple[int, int] = portraits.FRAME) -> tuple[np.ndarray, Truth]:
    """Frames, uint8 [T, H, W], and their exact motion. The onset frame is the neutral picture.

    Each frame samples the onset picture once (cubic spline) at the inverse of the motion, which a fixed-point
    iteration on the analytic field finds to 1e-5 px. UsageError when `peak` is so large that the skin would fold.
    """
    truth, bumps = _plan(spec, size)
    picture = portraits.face(spec.person, size).picture
    # Padded before filtering: near the border the spline of a mirrored picture is that of the picture.
    coefficients = spline_filter(np.pad(picture.astype(np.float64), _PAD, mode="reflect"), order=3, mode="mirror")
    rng = np.random.default_rng([*spec.seed, 3])
    frames = np.empty((len(truth), *size), np.uint8)
    grain = np.zeros(size, np.float32)
    for index in range(len(truth)):
        if spec.noise:
            rng.standard_normal(out=grain, dtype=np.float32)
        onto = _inverse(truth.rigid(index))
        worst = _expose(
            coefficients, bumps, truth.course[index], onto, truth.gain[index], truth.noise, grain, frames[index]
        )
        if worst > 1e-3:
            msg = f"Action units {spec.aus} with a peak of {spec.peak} px would fold the skin. Choose a smaller peak."
            raise UsageError(msg)
    return frames, truth


def _plan(spec: ClipSpec, size: tuple[int, int]) -> tuple[Truth, np.ndarray]:
    """The truth and the bumps (pixels) that its peak field comes from."""
    face = portraits.face(spec.person, size)
    scale = face.width / motion.CROP_FACE_WIDTH
    bumps = motion.bumps(spec.aus, face.landmarks, face.width)
    shape = local.field(bumps, *size)
    strength = spec.peak * scale / np.hypot(shape[0], shape[1]).max()
    bumps[:, 4:] *= strength
    head, light = (np.random.default_rng([*spec.seed, stream]) for stream in (1, 2))
    moves = [motion.smooth_path(head, spec.frames, spec.head_motion * s) for s in (HEAD_SHIFT, HEAD_SHIFT, HEAD_TURN)]
    drift = motion.smooth_path(light, spec.frames, 1.0)
    truth = Truth(
        peak=(shape * strength).astype(np.float32),
        course=motion.time_course(spec.frames, spec.apex, spec.residual, spec.rise, spec.fall),
        shift=np.stack(moves[:2], axis=1) * scale,
        angle=moves[2],
        gain=1 + spec.drift * drift / max(float(np.abs(drift).max()), 1e-9),
        noise=np.array([READ_VARIANCE, SHOT_VARIANCE]) * spec.noise**2,
        first=spec.first,
        apex=spec.apex,
        scale=scale,
        aus=spec.aus,
    )
    return truth, bumps


def _inverse(affine: np.ndarray) -> np.ndarray:
    back = affine[:, :2].T  # a rotation
    return np.column_stack([back, -back @ affine[:, 2]])


@njit(cache=True, error_model="numpy")
def _spline(coefficients: np.ndarray, x: float, y: float) -> float:
    """Value of a cubic B-spline at (x, y) of the unpadded picture; beyond the padding, of its edge."""
    x = min(max(x + _PAD, 1.0), coefficients.shape[1] - 3.001)
    y = min(max(y + _PAD, 1.0), coefficients.shape[0] - 3.001)
    column, row = int(x), int(y)
    s, t = x - column, y - row
    r = 1.0 - s
    w0, w1 = r * r * r / 6, (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6
    w3 = s * s * s / 6
    w2 = 1.0 - w0 - w1 - w3
    r = 1.0 - t
    v0, v1 = r * r * r / 6, (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6
    v3 = t * t * t / 6
    v2 = 1.0 - v0 - v1 - v3
    near = coefficients[row - 1 : row + 3, column - 1 : column + 3]
    return (
        v0 * (w0 * near[0, 0] + w1 * near[0, 1] + w2 * near[0, 2] + w3 * near[0, 3])
        + v1 * (w0 * near[1, 0] + w1 * near[1, 1] + w2 * near[1, 2] + w3 * near[1, 3])
        + v2 * (w0 * near[2, 0] + w1 * near[2, 1] + w2 * near[2, 2] + w3 * near[2, 3])
        + v3 * (w0 * near[3, 0] + w1 * near[3, 1] + w2 * near[3, 2] + w3 * near[3, 3])
    )


@njit(cache=True, error_model="numpy")
def _expose(
    coefficients: np.ndarray,
    bumps: np.ndarray,
    amount: float,
    onto: np.ndarray,
    gain: float,
    noise: np.ndarray,
    grain: np.ndarray,
    out: np.ndarray,
) -> float:
    """Fill the uint8 frame `out`: the onset picture moved by `amount` times the bumps, then by the inverse of `onto`,
    in light `gain`, with `grain` (unit normal) as sensor noise.

    Returns the largest step, in pixels, with which the search for a pixel's origin ended.
    """
    left, right = (bumps[:, 0] - bumps[:, 2]).min(), (bumps[:, 0] + bumps[:, 2]).max()
    top, bottom = (bumps[:, 1] - bumps[:, 3]).min(), (bumps[:, 1] + bumps[:, 3]).max()
    worst = 0.0
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x = onto[0, 0] * column + onto[0, 1] * row + onto[0, 2]
            y = onto[1, 0] * column + onto[1, 1] * row + onto[1, 2]
            px, py = x, y
            if left < x < right and top < y < bottom:  # elsewhere nothing moves
                step = 0.0
                for _ in range(100):
                    dx, dy = local.at_point(bumps, px, py)
                    qx, qy = x - amount * dx, y - amount * dy
                    step = max(abs(qx - px), abs(qy - py))
                    px, py = qx, qy
                    if step < 1e-5:
                        break
                worst = max(worst, step)
            level = gain * _spline(coefficients, px, py)
            level += grain[row, column] * np.sqrt(noise[0] + noise[1] * max(level, 0.0))
            out[row, column] = np.uint8(min(max(np.rint(level), 0.0), 255.0))
    return worst
