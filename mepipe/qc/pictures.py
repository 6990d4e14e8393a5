"""Measures of an aligned clip's pictures: light, repeated frames, blur; and a mark by which copies are known."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter

from mepipe.qc.regions import SIZE, Regions, cells

# Frames that differ by less than this, grey levels on average, are one frame. Sensor noise alone makes 1 to 3, and
# compressed video of a face at rest 0.7; a frame that was aligned twice differs from itself by up to 0.02.
_SAME = 0.15
# Fine and coarse texture: what lies between Gaussians of these, px of 224.
_FINE, _COARSE = (1.0, 2.0), (2.0, 4.0)
# A mark is made of so many frames, of their noise between these Gaussians, every so many px of 224, on a
# grid of so many cells.
_FRAMES, _BAND, _STEP, _ACROSS = 16, (2.0, 4.0), 8, 112
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def grey(frames: np.ndarray, white: float = 255.0) -> np.ndarray:
    """Pictures [T, H, W, 1 or 3], whose white is `white`, as grey levels of 0..255: float32 [T, H, W]."""
    levels = frames.astype(np.float32) * np.float32(255.0 / white)
    return levels @ _LUMA if levels.shape[-1] == 3 else levels[..., 0]


def light_step(levels: np.ndarray, regions: Regions) -> tuple[float, int]:
    """How much the light changes from one frame to the next, grey levels, and at which frame: where it changes most.

    Of the skin's cells the middle one, which neither motion nor something small before the face moves.
    levels: grey levels [T, H, W].
    """
    steps = np.median(np.diff(cells(levels)[:, regions.skin], axis=0), axis=1)
    most = int(np.argmax(np.abs(steps)))
    return float(np.abs(steps[most])), most + 1


def still_share(levels: np.ndarray, position: np.ndarray, regions: Regions) -> float:
    """Of the clip's time, the part in which one frame is repeated: 0..1.

    levels: grey levels [T, H, W]. position: [T], frame numbers. Between two frames of a recording an interpolated one
    differs from either by a part; and what is less than a frame apart is taken for that part.
    """
    skin = regions.pixels(regions.skin)
    shown = levels[:, : skin.shape[0], : skin.shape[1]][:, skin]
    apart = np.diff(position)
    distinct = apart > 0
    if not distinct.any():
        return 0.0
    change = np.abs(np.diff(shown, axis=0)).mean(axis=1)[distinct] / np.minimum(apart[distinct], 1)
    return float(apart[distinct][change < _SAME].sum() / apart[distinct].sum())


def blur(levels: np.ndarray, regions: Regions) -> float:
    """How blurred the face is: sigma, px of 224, of the Gaussian that a sharp picture would have to be blurred with.

    Sharp pictures have as much texture at each scale (their power falls with the frequency's square); fine texture
    less than coarse is due to blur. levels: grey levels [T, H, W]; their mean over time, which has less noise, counts.
    """
    unit = levels.shape[-1] / SIZE
    face = regions.pixels(regions.face)
    mean = levels.mean(axis=0, dtype=np.float64)
    bands = (gaussian_filter(mean, a * unit) - gaussian_filter(mean, b * unit) for a, b in (_FINE, _COARSE))
    fine, coarse = (float(band[: face.shape[0], : face.shape[1]][face].var()) for band in bands)
    sigma, ratio = _blurred()
    return float(np.interp(-fine / coarse, -ratio, sigma)) if coarse > 0 else 0.0


@cache
def _blurred() -> tuple[np.ndarray, np.ndarray]:
    """Sigmas of blur, px, and the ratio of fine to coarse texture that they leave: falling from 1.

    The power of a picture of spectrum 1/f² between Gaussians of a and b: half the log of ((a² + b²) / 2ab)²; a blur
    adds its square to either's.
    """
    sigma = np.linspace(0, 16, 1601)

    def texture(band: tuple[float, float]) -> np.ndarray:
        a, b = (s**2 + sigma**2 for s in band)
        return 0.5 * np.log(((a + b) / 2) ** 2 / (a * b))

    return sigma, texture(_FINE) / texture(_COARSE)


def mark(levels: np.ndarray) -> np.ndarray | None:
    """What of a clip no other recording has: its noise, float16 [K] of length 1. None where there is none.

    Two clips' marks have a product near 0, also where the same face does the same; that of copies is near 1, and of
    copies that were compressed again still 0.3 to 0.8. Noise is what changes at random from frame to frame: the third
    difference in time, which motion and light hardly have, at a scale that compression leaves alone.
    """
    chosen = np.floor(np.linspace(0, len(levels) - 1, _FRAMES) + 0.5).astype(int)
    random = np.diff(cells(levels[chosen], across=_ACROSS), n=3, axis=0)
    count = random.shape[-1]
    unit, step, edge = count / SIZE, max(1, round(_STEP * count / SIZE)), count // 10
    fine, coarse = (gaussian_filter(random, (0, s * unit, s * unit)) for s in _BAND)
    band = (fine - coarse)[:, edge : count - edge : step, edge : count - edge : step].ravel()
    band = np.clip(band, -3 * band.std(), 3 * band.std())  # what flashes or moves by jerks is no noise
    length = float(np.linalg.norm(band))
    return (band / length).astype(np.float16) if length > 1e-3 * len(band) ** 0.5 else None
