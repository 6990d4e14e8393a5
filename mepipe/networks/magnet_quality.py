"""How well a magnifier magnifies: held-out pictures set in known motion, what came of it against what should have.

Works for anything that turns two frames and a factor into a frame, so that the network and linear magnification
are measured alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter
from scipy.optimize import minimize_scalar

from mepipe.errors import MepipeError

if TYPE_CHECKING:
    from mepipe.networks.magnet import MagNet

# (onset, apex, factor) -> frame; float32 [H, W, 3] in 0..1.
Magnifier = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

SIZE = 128
HELD_OUT = ("rocket", "gravel", "astronaut", "hopper")  # never trained on, nor used to choose the gain
CHOOSING = ("chelsea", "coffee")
FACTORS = (2.0, 3.0, 5.0, 10.0)
MOTIONS = (0.1, 0.3, 1.0)  # px before magnification, at its largest
_BORDER = 12  # px left out of every score: what moves in there was outside the frame
_GREEN = 1
_REACH = 22.0  # px, the standard deviation of a local shift
# package, file, middle of the part (x, y) and its side, px.
_PARTS = {
    "chelsea": ("skimage", "data/chelsea.png", (225, 150), 200),
    "coffee": ("skimage", "data/coffee.png", (300, 200), 240),
    "rocket": ("skimage", "data/rocket.jpg", (320, 300), 240),
    "gravel": ("skimage", "data/gravel.png", (256, 256), 200),
    "astronaut": ("skimage", "data/astronaut.png", (222, 115), 150),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (262, 190), 230),
}


@dataclass(frozen=True)
class Case:
    """A picture that moves: rigidly (`shift`), or around two points in opposite directions (`local`)."""

    picture: str
    kind: str
    motion: float

    def frame(self, times: float) -> np.ndarray:
        """float32 [128, 128, 3] in 0..1, its motion `times` as large. 0 is the onset."""
        return np.stack([self.channel(index, times) for index in range(3)], axis=-1)

    def channel(self, index: int, times: float) -> np.ndarray:
        """One colour of `frame`."""
        channels, pitch, middle = _splines(self.picture)
        y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
        px, py = x, y
        for _ in range(12):  # where what is seen at (x, y) came from: a contraction
            u, v = self._displacement(px, py)
            px, py = x - times * u, y - times * v
        places = [py * pitch + middle[1], px * pitch + middle[0]]
        sampled = map_coordinates(channels[index], places, order=3, mode="mirror", prefilter=False)
        return np.clip(sampled, 0, 1).astype(np.float32)

    def _displacement(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        amount = np.full(x.shape, self.motion)
        if self.kind == "local":
            near = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * _REACH**2)) for cx, cy in ((-24, 16), (26, -14))]
            amount = self.motion * (near[0] - near[1])
        return 0.8 * amount, 0.6 * amount


@dataclass(frozen=True)
class Score:
    """realised: how many times as large the motion is found to be. ssim, error: against the truly magnified frame
    (structural similarity; mean absolute difference, grey levels of 255)."""

    realised: float
    ssim: float
    error: float


Scores = Mapping[tuple[Case, float], Score]


def cases(pictures: Sequence[str] = HELD_OUT) -> Iterator[Case]:
    """Every picture in every kind and size of motion."""
    return (Case(*chosen) for chosen in product(pictures, ("shift", "local"), MOTIONS))


def measure(magnify: Magnifier, noise: float = 0.0, pictures: Sequence[str] = HELD_OUT) -> Scores:
    """All cases at all factors."""
    return {(case, factor): score(case, factor, magnify, noise) for case in cases(pictures) for factor in FACTORS}


def off(scores: Scores, factor: float) -> float:
    """By how much of the factor the realised one misses it, on average over the cases."""
    return float(np.mean([abs(s.realised / factor - 1) for (_, asked), s in scores.items() if asked == factor]))


def likeness(scores: Scores, factor: float) -> float:
    """Structural similarity to the truly magnified frames, on average over the cases."""
    return float(np.mean([s.ssim for (_, asked), s in scores.items() if asked == factor]))


def score(case: Case, factor: float, magnify: Magnifier, noise: float = 0.0) -> Score:
    """noise: standard deviation in grey levels of 255 of both frames that the magnifier is given."""
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    given = [
        np.clip(frame + noise / 255 * rng.standard_normal(frame.shape), 0, 1).astype(np.float32)
        for frame in (case.frame(0), case.frame(1))
    ]
    found, truth = np.clip(magnify(given[0], given[1], factor), 0, 1), case.frame(factor)
    inner = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
    alike = structural_similarity(found[inner], truth[inner], channel_axis=-1, data_range=1.0)
    return Score(_realised(case, factor, found), float(alike), 255 * float(np.abs(found - truth)[inner].mean()))


def by(net: MagNet, gain: float = 1.0) -> Magnifier:
    """Magnification by a network of ours, whose amplification is added to the motion that is there."""
    import torch

    def magnify(onset: np.ndarray, apex: np.ndarray, factor: float) -> np.ndarray:
        with torch.inference_mode():
            a, b = (torch.from_numpy(frame * 2 - 1).permute(2, 0, 1)[None] for frame in (onset, apex))
            made: np.ndarray = ((net(a, b, gain * (factor - 1))[0].permute(1, 2, 0) + 1) / 2).numpy()
        return made

    return magnify


def summary(scores: Scores) -> str:
    """One line for the header of a weights file."""
    texts = [f"{f:g}: motion off by {off(scores, f):.2f}, SSIM {likeness(scores, f):.4f}" for f in FACTORS]
    return f"by factor, mean over {len(list(cases()))} held-out cases of 0.1 to 1 px: " + "; ".join(texts)


def linear(onset: np.ndarray, apex: np.ndarray, factor: float) -> np.ndarray:
    """What Eulerian magnification makes of an apex whose change is all within its pass-band."""
    return apex + np.float32(factor - 1) * (apex - onset)


def _realised(case: Case, factor: float, found: np.ndarray) -> float:
    """The multiple of the motion whose frame comes closest to the one found."""
    inner = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]

    def distance(times: float) -> float:
        return float(np.square(case.channel(_GREEN, times) - found[..., _GREEN])[inner].mean())

    # Patterns repeat: the nearest valley on a coarse grid first.
    grid = np.linspace(0, 1.6 * factor, 17)
    start = grid[np.argmin([distance(times) for times in grid])]
    step = grid[1]
    bounds = (max(start - step, -step), start + step)
    return float(minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 0.005 * factor}).x)


@lru_cache
def _splines(picture: str) -> tuple[list[np.ndarray], float, tuple[float, float]]:
    """The picture's channels as cubic splines, its px to a px of the frame, the middle of the frame in it."""
    from PIL import Image

    package, file, middle, side = _PARTS[picture]
    found = find_spec(package)
    if found is None or found.origin is None:
        msg = f"Magnification is measured on pictures that come with {package}. Install it: pip install {package}."
        raise MepipeError(msg)
    with Image.open(Path(found.origin).parent / file) as opened:
        pixels = np.asarray(opened.convert("RGB"), dtype=np.float64) / 255
    # Smooth enough that the frame does not alias, and to be sampled between its pixels.
    pitch = side / SIZE
    channels = [gaussian_filter(pixels[..., c], 0.55 * max(pitch, 1.0)) for c in range(3)]
    return [spline_filter(c, order=3, mode="mirror") for c in channels], pitch, middle
