"""Eulerian magnification: gain against the filter's transfer function."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import shift as shifted
from scipy.optimize import minimize_scalar

from benchmarks import clips
from benchmarks.tables import Asked, Report, Table
from mepipe.datasets.demo import portraits
from mepipe.ops import eulerian
from mepipe.stages.magnify_eulerian import MagnifyEulerianParams

TITLE = "Eulerian magnification against its transfer function"
_TEXT = """\
A sinusoid lasting 20 s at 200 fps, measured by least squares over the middle half, where the filter has settled.
Brightness: a grey level that swings by 1 %. Motion: a face that moves sideways by 0.05 px; magnified motion is the
shift of the still picture that fits each magnified frame best. Predicted is 1 + alpha |H|²."""
_SECONDS = 20
_INSIDE = (0.5, 0.75, 1.0, 1.26, 2.0, 3.0, 3.8)
_OUTSIDE = (0.1, 0.3, 6.0, 12.0)


def run(quick: bool = False) -> Report:
    """Fewer frequencies of motion when `quick`."""
    params = clips.nodes()["magnify"].params
    assert isinstance(params, MagnifyEulerianParams)
    low, high, alpha = params.low, params.high, params.alpha
    rows, errors = [], []
    for hertz in sorted(_INSIDE + _OUTSIDE):
        response = float(eulerian.transfer(clips.FPS, low, high, 2, np.array([hertz])).real[0])
        measured, delay = _brightness(hertz, low, high, alpha)
        error = abs(measured / (1 + alpha * response) - 1)
        within = hertz in _INSIDE
        errors += [error] if within else []
        rows.append((f"{hertz:g}", "yes" if within else "no", 1 + alpha * response, measured, error, delay))
    moved = [(f"{hertz:g}", *_moving(hertz, low, high)) for hertz in ((1.26,) if quick else (0.75, 1.26, 3.0))]
    header = ("Hz", "in the band", "predicted gain", "measured", "relative error", "delay, ms")
    title = f"Brightness, {low:g}-{high:g} Hz, alpha {alpha:g}"
    motion = Table("Motion, alpha 10", ("Hz", "predicted gain", "measured", "relative error"), moved)
    return Report(
        TITLE,
        _TEXT,
        [Table(title, header, rows), motion],
        [
            Asked("gain on a sinusoid in the pass-band: largest relative error", max(errors), "<=", 0.05),
            Asked("the same of real motion", max(row[3] for row in moved), "<=", 0.05),
        ],
    )


def _brightness(hertz: float, low: float, high: float, alpha: float) -> tuple[float, float]:
    """Gain and delay (ms) of a grey level's swing."""
    time = np.arange(_SECONDS * int(clips.FPS)) / clips.FPS
    course = 0.5 + 0.01 * np.sin(2 * np.pi * hertz * time)
    frames = np.broadcast_to(course[:, None, None], (len(time), 4, 4)).astype(np.float32)
    wave = _wave(eulerian.magnify(frames, clips.FPS, low, high, alpha)[:, 1, 1], time, hertz)
    return float(np.abs(wave)) / 0.01, float(-np.angle(wave) / (2 * np.pi * hertz) * 1e3)


def _wave(course: np.ndarray, time: np.ndarray, hertz: float) -> complex:
    """Amplitude and phase of the sinusoid in the middle half of a course, by least squares beside a straight line."""
    middle = slice(len(time) // 4, 3 * len(time) // 4)
    t = time[middle]
    basis = np.stack([np.sin(2 * np.pi * hertz * t), np.cos(2 * np.pi * hertz * t), np.ones_like(t), t], axis=1)
    sine, cosine, *_ = np.linalg.lstsq(basis, course[middle].astype(np.float64), rcond=None)[0]
    return complex(sine, cosine)


def _moving(hertz: float, low: float, high: float) -> tuple[float, float, float]:
    """Predicted gain, measured gain, relative error of a swing of 0.05 px."""
    size, alpha, swing = 96, 10.0, 0.05
    face = portraits.face(clips.entries()[0].spec.person).picture
    part = cv2.GaussianBlur(face[150 : 150 + size, 200 : 200 + size].astype(np.float64) / 255, (0, 0), 1.0)
    time = np.arange(_SECONDS * int(clips.FPS)) / clips.FPS
    path = swing * np.sin(2 * np.pi * hertz * time)
    # A shift by up to 0.05 px is so nearly linear between three pictures that 4000 need not be interpolated.
    left, right = (shifted(part, (0, side), mode="nearest") for side in (-swing, swing))
    slope, bend = (right - left) / 2, (right + left) / 2 - part
    u = (path / swing)[:, None, None]
    frames = (part + u * slope + u**2 * bend).astype(np.float32)
    magnified = eulerian.magnify(frames, clips.FPS, low, high, alpha)
    period = int(clips.FPS / hertz)
    start = len(time) // 2
    looked = np.arange(start, start + period, max(period // 16, 1))
    found = np.array([_shift_of(part, magnified[index]) for index in looked])
    basis = path[looked]
    measured = float(found @ basis / (basis @ basis))
    predicted = 1 + alpha * float(eulerian.transfer(clips.FPS, low, high, 2, np.array([hertz])).real[0])
    return predicted, measured, abs(measured / predicted - 1)


def _shift_of(picture: np.ndarray, other: np.ndarray) -> float:
    """The sideways shift, px, of a picture that comes closest to another."""
    inner = np.s_[8:-8, 8:-8]

    def distance(amount: float) -> float:
        return float(np.square(shifted(picture, (0, amount), mode="nearest") - other)[inner].sum())

    return float(minimize_scalar(distance, bounds=(-2, 2), method="bounded", options={"xatol": 1e-4}).x)
