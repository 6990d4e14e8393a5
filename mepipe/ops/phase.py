"""Phase-based motion magnification: how far the detail of each size has moved, band-passed in time and enlarged.

A frame is split by wavelength and direction into complex patterns: a complex steerable pyramid (Wadhwa, Rubinstein,
Durand, Freeman 2013, "Phase-based video motion processing"), in the Fourier domain (Portilla & Simoncelli 2000).
Motion turns the phase of a pattern and leaves its strength alone. So the phase is filtered in time and turned
further: the picture moves, and neither noise nor a change of light is enlarged.

A Riesz pyramid (Wadhwa et al. 2014) is several times faster and was tried. It knows one direction for each pixel:
the error of its pictures, against truly moved ones, was 1.3 to 2 times as large, and with that paper's smoothing,
which averages over directions, its motion was 40 % short on a face and on textures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np

from mepipe.errors import MepipeError
from mepipe.ops import eulerian, temporal

_DIRECTIONS = 4
# Makes the squares of four cos^3, 45 degrees apart, add up to one.
_EVEN = np.sqrt(4 / 5)
# Mirrored on each side, px: the Fourier transform joins the left edge to the right.
_MARGIN = 16
# Standard deviation of the smoothing of phase, in samples of the level (a quarter of its wavelength). On faces and
# textures with noise of 2 grey levels pictures are as close to the truth from 1 to 2; motion is least short at 1.
_SMOOTHING = 1.0
# Keeps 0 / 0 out where a level is empty; strengths in 0..1 are far above its root.
_TINY = np.float32(1e-20)
_CIRCLE = np.float32(2 * np.pi)


def magnify(
    frames: np.ndarray,
    fps: float,
    low: float = 0.4,
    high: float = 4.0,
    alpha: float = 10.0,
    order: int = 2,
    causal: bool = False,
) -> np.ndarray:
    """The clip with its motion between `low` and `high` hertz enlarged to about 1 + alpha: float32, not clipped.

    frames: floating point [T, H, W] or [T, H, W, C], C = 1 or 3, 0..1, T >= 2; evenly spaced at `fps` per second.
    Luma moves; in colour frames its change is added to all channels, so that colours stay where they are.
    low, high, order, causal, and what is taken to lie outside the clip: as `mepipe.ops.eulerian.magnify`, whose
    filter this is. alpha: 0 gives the clip back, bit for bit.

    Each level moves a pattern under an outline that stays. So motion falls short of 1 + alpha, by 10 % on a face and
    11-16 % on textures, and detail of wavelength w follows up to alpha * d = w / 4 (Wadhwa et al. 2013); beyond, it
    is smeared while coarser detail still moves (a face: 12 % short at 8 px; docs/benchmarks.md). Levels are centred
    on 4, 8, 16 ... px up to about half of the shorter side, the first holding all that is finer; what is coarser
    stays. From one frame to the next, motion beyond w / 2 (2 px at the finest level) is taken for motion the other
    way. Of 60 frames of 224 x 224 it takes 2.8 s on one core, and memory of about 15 times the luma.

    MepipeError: a pass-band that cannot exist at this fps, fewer than two frames, frames not floating point.

    >>> frames = np.random.default_rng(0).random((8, 16, 16), dtype=np.float32)
    >>> bool((magnify(frames, fps=200, alpha=0) == frames).all())
    True
    """
    eulerian.check_frames(frames)
    if frames.shape[3:] not in ((), (1,), (3,)):
        msg = (
            f"Phase-based magnification needs grey or RGB frames, got {list(frames.shape)}.\n"
            "Give frames [T, H, W], [T, H, W, 1] or [T, H, W, 3]."
        )
        raise MepipeError(msg)
    kernel = alpha * eulerian.filter_matrix(len(frames), fps, low, high, order, causal)
    frames = np.asarray(frames, dtype=np.float32)
    if frames.ndim == 3:
        return frames + _change(frames, kernel)
    luma = frames @ eulerian.LUMA if frames.shape[3] == 3 else frames[..., 0]
    return frames + _change(luma, kernel)[..., None]


def _change(luma: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What magnification adds to grey frames [T, H, W]."""
    from scipy.fft import fft2, ifft2, next_fast_len

    height, width = luma.shape[1:]
    sides = [(_MARGIN, next_fast_len(n + 2 * _MARGIN) - n - _MARGIN) for n in (height, width)]
    spectrum = fft2(np.pad(luma, [(0, 0), *sides], mode="symmetric"))
    added = np.zeros_like(spectrum)
    for band in _bands(*spectrum.shape[1:], levels=max(int(np.log2(min(height, width))) - 1, 1)):
        held = (slice(None), band.rows[:, None], band.columns)
        pattern = ifft2(spectrum[held] * band.gain, overwrite_x=True)
        _turn(pattern, kernel)
        added[held] += fft2(pattern, overwrite_x=True) * band.gain
    inside = (slice(None), slice(_MARGIN, _MARGIN + height), slice(_MARGIN, _MARGIN + width))
    # A band holds half of the plane of frequencies; for real frames the other half is its mirror image.
    return 2 * ifft2(added, overwrite_x=True).real[inside]


def _turn(pattern: np.ndarray, kernel: np.ndarray) -> None:
    """Replace a complex pattern [T, h, w] by what turning it adds to it."""
    import cv2

    smooth = partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=_SMOOTHING, borderType=cv2.BORDER_REFLECT)
    shifts = temporal.mix(kernel, _followed(np.angle(pattern)))
    turn = np.empty_like(pattern[0])
    for shift, still in zip(shifts, pattern, strict=True):
        # The variance of a phase goes with the inverse square of the strength: this is its weighted mean.
        weight = np.square(still.real) + np.square(still.imag) + _TINY
        shift = smooth(shift * weight) / smooth(weight)
        np.subtract(np.cos(shift), 1, out=turn.real)
        np.sin(shift, out=turn.imag)
        still *= turn


def _followed(phase: np.ndarray) -> np.ndarray:
    """Phases [T, ...] since the first frame, not cut at half a turn; overwrites them."""
    last = phase[0].copy()
    phase[0] = 0
    for before, now in pairwise(phase):
        step = now - last
        last[:] = now
        step -= _CIRCLE * np.rint(step / _CIRCLE)
        np.add(before, step, out=now)
    return phase


@dataclass(frozen=True, eq=False)
class _Band:
    """One level and direction: gain float32 on the frequencies of these rows and columns of a spectrum."""

    rows: np.ndarray
    columns: np.ndarray
    gain: np.ndarray


@lru_cache(maxsize=4)
def _bands(height: int, width: int, levels: int) -> tuple[_Band, ...]:
    """Filters whose squares, with their mirror images', add up to one above the coarsest level."""
    y, x = (np.fft.fftfreq(n) for n in (height, width))
    frequency = np.hypot(y[:, None], x)
    angle = np.arctan2(y[:, None], x)
    bands = []
    for level in range(levels):
        octaves = np.log2(np.maximum(frequency, 1 / height / width) * 4 * 2**level)
        ring = np.cos(np.pi / 2 * np.clip(octaves, -1, 1 if level else 0))
        # The mean moves nowhere, and a wave of two samples might go either way.
        ring[(frequency == 0) | (np.abs(y[:, None]) == 0.5) | (np.abs(x) == 0.5)] = 0
        rows, columns = (_lowest(n, 2**level) for n in (height, width))
        for direction in range(_DIRECTIONS):
            ahead = np.maximum(np.cos(angle - np.pi * direction / _DIRECTIONS), 0)
            gain = _EVEN * ring * ahead ** (_DIRECTIONS - 1)
            bands.append(_Band(rows, columns, gain[rows[:, None], columns].astype(np.float32)))
    return tuple(bands)


def _lowest(n: int, factor: int) -> np.ndarray:
    """The indices, in a spectrum of n samples, of the frequencies that remain when it is sampled `factor` less."""
    kept = min(2 * -(-n // (2 * factor)), n)
    return np.r_[0 : kept - kept // 2, n - kept // 2 : n]
