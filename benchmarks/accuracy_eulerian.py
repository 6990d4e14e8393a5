"""Magnification, Eulerian and phase-based: gain against the filter's transfer function, noise, reach, short clips."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from scipy.ndimage import shift, spline_filter
from scipy.optimize import minimize_scalar

from benchmarks import clips, short_clips
from benchmarks.tables import Asked, Report, Row, Table
from mepipe.datasets.demo import portraits
from mepipe.ops import eulerian, phase
from mepipe.stages.magnify_eulerian import MagnifyEulerianParams

TITLE = "Magnification against its transfer function"
_TEXT = """\
Brightness: a grey level that swings by 1 % for 20 s at 200 fps, measured by least squares over the middle half, where
the filter has settled. Motion: a face that swings sideways by 0.05 px for 12 s at 50 fps; magnified motion is the shift
of the still picture that fits each magnified frame best. Predicted is 1 + alpha |H|²."""
_SECONDS = 20
_INSIDE = (0.5, 0.75, 1.0, 1.26, 2.0, 3.0, 3.8)
_OUTSIDE = (0.1, 0.3, 6.0, 12.0)
_METHODS: dict[str, Callable[..., np.ndarray]] = {"Eulerian": eulerian.magnify, "phase": phase.magnify}
# Of the moving face: fps, seconds, and what of a frame is compared.
_FPS, _LASTING = 50.0, 12
_INNER = np.s_[12:-12, 12:-12]


def run(quick: bool = False) -> Report:
    """Fewer frequencies and sizes of motion, and no figure, when `quick`."""
    params = clips.nodes()["magnify"].params
    assert isinstance(params, MagnifyEulerianParams)
    low, high, alpha = params.low, params.high, params.alpha
    brightness = [_brightness(hertz, low, high, alpha) for hertz in sorted(_INSIDE + _OUTSIDE)]
    moved = [_motion(hertz, low, high) for hertz in ((1.26,) if quick else (0.75, 1.26, 3.0))]
    noise = [_noise(alpha, low, high) for alpha in (10.0, 20.0)]
    reach = [_reach(d, low, high) for d in ((1.0,) if quick else (0.5, 1.0, 2.0, 4.0, 8.0))]
    short = short_clips.measure()
    if not quick:
        short_clips.draw(short)
    shares = ("Hz", "predicted gain", "Eulerian", "relative error", "phase-based", "relative error", "lag, degrees")
    gain = ("Hz", "in the band", "predicted gain", "measured", "relative error", "delay, ms")
    errors = ("alpha x d, px", "gain / predicted, Eulerian", "phase-based", "error, Eulerian", "error, phase-based")
    note = (
        "One period at 1.26 Hz, alpha 20. Error: rms distance to truly moved frames, relative to what the frames\n"
        "score as given; above 1 they are better left alone."
    )
    return Report(
        TITLE,
        _TEXT,
        [
            Table(f"Brightness, {low:g}-{high:g} Hz, alpha {alpha:g}", gain, brightness),
            Table("Motion, alpha 10", shares, moved),
            Table("White sensor noise: standard deviation, of what it was", ("alpha", *_METHODS, "ratio"), noise),
            Table("How far motion can be magnified", errors, reach, note),
            short_clips.table(short),
        ],
        [
            Asked("gain on a sinusoid in the pass-band: largest relative error", _worst(brightness, 4), "<=", 0.05),
            Asked("the same of real motion", _worst(moved, 3), "<=", 0.05),
            Asked("the same, phase-based", _worst(moved, 5), "<=", 0.2),
            Asked("noise, phase-based / Eulerian", _worst(noise, 3), "<=", 0.33),
            Asked("alpha 0: largest change, both methods", _at_zero(), "<=", 0),
        ],
    )


def _worst(rows: list[Row], column: int) -> float:
    """The largest figure in a column, of the rows that are not outside the band."""
    return max(float(row[column]) for row in rows if row[1] != "no")


def _brightness(hertz: float, low: float, high: float, alpha: float) -> Row:
    """Gain and delay (ms) of a grey level's swing."""
    time = np.arange(_SECONDS * int(clips.FPS)) / clips.FPS
    course = 0.5 + 0.01 * np.sin(2 * np.pi * hertz * time)
    frames = np.broadcast_to(course[:, None, None], (len(time), 4, 4)).astype(np.float32)
    wave = _wave(eulerian.magnify(frames, clips.FPS, low, high, alpha)[:, 1, 1], time, hertz) / 0.01
    predicted = 1 + alpha * _response(hertz, low, high, clips.FPS)
    delay = float(-np.angle(wave) / (2 * np.pi * hertz) * 1e3)
    within = "yes" if hertz in _INSIDE else "no"
    return f"{hertz:g}", within, predicted, float(abs(wave)), float(abs(abs(wave) / predicted - 1)), delay


def _wave(course: np.ndarray, time: np.ndarray, hertz: float) -> complex:
    """Amplitude and phase of the sinusoid in the middle half of a course, by least squares beside a straight line."""
    middle = slice(len(time) // 4, 3 * len(time) // 4)
    t = time[middle]
    basis = np.stack([np.sin(2 * np.pi * hertz * t), np.cos(2 * np.pi * hertz * t), np.ones_like(t), t], axis=1)
    sine, cosine, *_ = np.linalg.lstsq(basis, course[middle].astype(np.float64), rcond=None)[0]
    return complex(sine, cosine)


def _response(hertz: float, low: float, high: float, fps: float) -> float:
    return float(eulerian.transfer(fps, low, high, 2, np.array([hertz])).real[0])


def _face() -> Callable[[float], np.ndarray]:
    """Part of a face, 96 px wide, as a function of its shift sideways, px."""
    whole = portraits.face(clips.entries()[0].spec.person).picture[142:254, 192:304].astype(np.float64) / 255
    spline = spline_filter(cv2.GaussianBlur(whole, (0, 0), 1.0))
    return lambda amount: shift(spline, (0, amount), prefilter=False, mode="nearest")[8:-8, 8:-8]


def _motion(hertz: float, low: float, high: float) -> Row:
    """Predicted gain; gain and relative error of either method on a swing of 0.05 px; phase-based: its lag."""
    alpha, swing, face = 10.0, 0.05, _face()
    time = np.arange(_LASTING * int(_FPS)) / _FPS
    path = swing * np.sin(2 * np.pi * hertz * time)
    frames = np.stack([face(amount) for amount in path]).astype(np.float32)
    predicted = 1 + alpha * _response(hertz, low, high, _FPS)
    looked = np.linspace(len(time) / 2, len(time) / 2 + _FPS / hertz, 16, endpoint=False).round().astype(int)
    turn = 2 * np.pi * hertz * time[looked]
    row: list[str | float] = [f"{hertz:g}", predicted]
    for magnify in _METHODS.values():
        magnified = magnify(frames, _FPS, low, high, alpha)
        found = [_shift_of(face, magnified[index], predicted * path[index]) for index in looked]
        sine, cosine = np.linalg.lstsq(np.stack([np.sin(turn), np.cos(turn)], axis=1), found, rcond=None)[0]
        gain = float(np.hypot(sine, cosine)) / swing
        row += [gain, abs(gain / predicted - 1)]
    return *row, float(-np.degrees(np.arctan2(cosine, sine)))


def _shift_of(face: Callable[[float], np.ndarray], frame: np.ndarray, around: float) -> float:
    """The sideways shift, px, of the face that comes closest to a frame; within a px, or 1.5 x, of what is expected."""

    def distance(amount: float) -> float:
        return float(np.square(face(amount) - frame)[_INNER].sum())

    reach = max(1.0, abs(around))
    bounds = (around - reach, around + reach / 2)
    if around < 0:
        bounds = (around - reach / 2, around + reach)
    return float(minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)


def _noise(alpha: float, low: float, high: float) -> Row:
    """What either method multiplies the standard deviation of noise by, on a face that does not move; their ratio."""
    still = _face()(0.0)
    noise = np.random.default_rng(0).normal(0, 2 / 255, (60, *still.shape))
    frames = (still + noise).astype(np.float32)
    grown = [float(np.std(m(frames, clips.FPS, low, high, alpha) - still) / np.std(noise)) for m in _METHODS.values()]
    return f"{alpha:g}", *grown, grown[1] / grown[0]


def _reach(enlarged: float, low: float, high: float) -> Row:
    """Gains, of what is predicted, and errors of both methods where alpha x d is so many px at the peak."""
    alpha, hertz, fps, face = 20.0, 1.26, 25.0, _face()
    time = np.arange(6 * int(fps)) / fps
    path = enlarged / alpha * np.sin(2 * np.pi * hertz * time)
    frames = np.stack([face(amount) for amount in path]).astype(np.float32)
    # The course of the very filter, the ends of this short clip included.
    goal = path + alpha * (eulerian.filter_matrix(len(path), fps, low, high) @ path)
    looked = np.arange(len(time) // 2, len(time) // 2 + round(fps / hertz))
    truth = np.stack([face(amount) for amount in goal[looked]])
    rms = partial(_rms, truth)
    gains, errors = [], []
    for magnify in _METHODS.values():
        magnified = magnify(frames, fps, low, high, alpha)[looked]
        found = [_shift_of(face, frame, amount) for frame, amount in zip(magnified, goal[looked], strict=True)]
        gains.append(float(np.dot(found, goal[looked]) / np.dot(goal[looked], goal[looked])))
        errors.append(rms(magnified) / rms(frames[looked]))
    return f"{enlarged:g}", *gains, *errors


def _rms(truth: np.ndarray, frames: np.ndarray) -> float:
    return float(np.sqrt(np.square(frames - truth)[:, *_INNER].mean()))


def _at_zero() -> float:
    """The largest change of a moving face at alpha 0."""
    face = _face()
    frames = np.stack([face(amount) for amount in np.linspace(0, 1, 8)]).astype(np.float32)
    return max(float(np.abs(m(frames, clips.FPS, alpha=0.0) - frames).max()) for m in _METHODS.values())
