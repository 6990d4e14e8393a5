"""The people of the demo: two public-domain portraits that come inside dependencies, made into many persons.

Grace Hopper (official U.S. Navy portrait, in matplotlib's sample data) and Eileen Collins (official NASA portrait,
scikit-image's `astronaut`) are works of the U.S. government. A person is one of them with another geometry
(mirrored, stretched, smoothly warped), another tone (gamma, contrast), another light and another skin grain.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from mepipe.datasets.demo import bumps
from mepipe.errors import MepipeError

LICENCE = (
    "Portraits: Grace Hopper (U.S. Navy) and Eileen Collins (NASA), works of the U.S. government, "
    "in the public domain. Everything else is synthetic and may be used freely."
)
FRAME = (448, 512)
FACE_WIDTH = 245.0

Pair = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Portrait:
    """A packaged picture and where the parts of its face lie, in its own pixels.

    Measured once with MediaPipe's face mesh (0.10.21, static mode, refined; point numbers in LANDMARK_NUMBERS):
    the demo itself needs no landmark detector. Pairs are (image left, image right).
    """

    package: str
    file: str
    sha256: str
    pairs: dict[str, Pair]
    middle: dict[str, tuple[float, float]]


LANDMARK_NUMBERS = {
    "face_side": (127, 356),
    "upper_lid": (159, 386),
    "lower_lid": (145, 374),
    "brow_inner": (55, 285),
    "brow_mid": (105, 334),
    "brow_outer": (46, 276),
    "cheek": (50, 280),
    "nose_wing": (129, 358),
    "fold": (205, 425),
    "mouth_corner": (61, 291),
    "nose_bridge": 6,
    "upper_lip": 0,
    "lower_lip": 17,
    "chin": 152,
}

PORTRAITS = {
    "hopper": Portrait(
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        {
            "face_side": ((173.0, 199.9), (356.0, 192.3)),
            "upper_lid": ((219.6, 185.8), (309.0, 182.4)),
            "lower_lid": ((224.7, 197.3), (306.7, 192.4)),
            "brow_inner": ((247.7, 178.1), (281.7, 175.6)),
            "brow_mid": ((207.3, 167.3), (319.2, 161.5)),
            "brow_outer": ((192.4, 182.1), (335.6, 175.4)),
            "cheek": ((203.5, 236.2), (329.6, 231.2)),
            "nose_wing": ((238.7, 241.5), (295.9, 238.9)),
            "fold": ((214.5, 246.6), (319.6, 242.3)),
            "mouth_corner": ((232.4, 280.6), (302.5, 277.1)),
        },
        {
            "nose_bridge": (265.8, 198.4),
            "upper_lip": (267.7, 272.2),
            "lower_lip": (268.0, 291.9),
            "chin": (270.3, 333.6),
        },
    ),
    "astronaut": Portrait(
        "skimage",
        "data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        {
            "face_side": ((179.6, 101.3), (270.7, 106.8)),
            "upper_lid": ((202.8, 97.6), (248.3, 99.7)),
            "lower_lid": ((203.4, 104.3), (246.6, 106.7)),
            "brow_inner": ((216.7, 94.6), (234.3, 96.1)),
            "brow_mid": ((198.8, 86.9), (253.0, 90.7)),
            "brow_outer": ((190.3, 93.0), (260.6, 97.5)),
            "cheek": ((190.3, 118.4), (258.4, 122.4)),
            "nose_wing": ((208.0, 123.5), (240.1, 125.3)),
            "fold": ((194.9, 124.6), (253.2, 128.0)),
            "mouth_corner": ((201.8, 139.2), (245.0, 141.0)),
        },
        {
            "nose_bridge": (224.7, 105.6),
            "upper_lip": (223.6, 140.5),
            "lower_lip": (222.7, 154.6),
            "chin": (221.3, 177.4),
        },
    ),
}


@dataclass(frozen=True)
class Person:
    """One synthetic subject. The defaults are the portrait as it is, enlarged to a face 245 px wide.

    stretch: height relative to width, 1 = as in the portrait. warp: bumps (see `bumps`) in face widths around the
    face's centre. gamma, contrast: of the tone curve. light: relative brightness gained per face width to the
    right and down. grain: standard deviation of the skin's fine texture, which enlarging a portrait cannot
    supply, relative to brightness. seed: of the grain.
    """

    portrait: str = "hopper"
    mirror: bool = False
    width: float = FACE_WIDTH
    stretch: float = 1.0
    place: tuple[float, float] = (0.0, 0.0)
    warp: tuple[tuple[float, ...], ...] = ()
    gamma: float = 1.0
    contrast: float = 1.0
    light: tuple[float, float] = (0.0, 0.0)
    grain: float = 0.02
    seed: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Face:
    """A person's neutral picture, float32 [H, W] in grey levels, and the face's parts in its pixels.

    landmarks: name -> float64 [k, 2] (x, y), k = 2 for pairs (image left, image right), 1 in the middle.
    width: distance between the sides of the face (mesh points 127 and 356).
    """

    picture: np.ndarray
    landmarks: dict[str, np.ndarray]
    width: float


def someone(index: int, seed: int) -> Person:
    """The demo's subject number `index`: neighbours differ in portrait, mirroring, geometry, tone and light."""
    rng = np.random.default_rng([seed, index, 1])
    warp = [(*rng.uniform(-0.5, 0.5, 2), *rng.uniform(0.5, 0.9, 2), *rng.uniform(-0.03, 0.03, 2)) for _ in range(6)]
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.35)
    return Person(
        portrait=("hopper", "astronaut")[index % 2],
        mirror=bool(index // 2 % 2),
        width=float(rng.uniform(234, 256)),
        stretch=float(rng.uniform(0.94, 1.08)),
        place=(float(rng.uniform(-10, 10)), float(rng.uniform(-8, 8))),
        warp=tuple(tuple(map(float, bump)) for bump in warp),
        gamma=float(rng.uniform(0.75, 1.3)),
        contrast=float(rng.uniform(0.8, 1.1)),
        light=(float(strength * np.cos(angle)), float(strength * np.sin(angle))),
        grain=float(rng.uniform(0.015, 0.03)),
        seed=(seed, index, 2),
    )


def load(name: str) -> np.ndarray:
    """A packaged portrait, uint8 [H, W]. MepipeError when the installed picture is not the one that was measured."""
    portrait = PORTRAITS[name]
    found = find_spec(portrait.package)
    if found is None or not found.submodule_search_locations:
        msg = f"The demo needs a portrait from {portrait.package}, which is not installed. Run: make setup"
        raise MepipeError(msg)
    path = Path(found.submodule_search_locations[0]) / portrait.file
    content = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(content).hexdigest()
    if digest != portrait.sha256:
        got = f"sha256 {digest}" if content else "no such file"
        msg = (
            f"{path}: not the portrait whose face was measured ({got}, expected {portrait.sha256}).\n"
            f"This version of {portrait.package} packages another picture.\n"
            "Install the versions in constraints.txt (make setup)."
        )
        raise MepipeError(msg)
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def _centre(portrait: Portrait) -> np.ndarray:
    """The middle of the face, portrait pixels: between the bridge of the nose and the upper lip."""
    return (np.array(portrait.middle["nose_bridge"]) + np.array(portrait.middle["upper_lip"])) / 2


@lru_cache(maxsize=4)
def face(person: Person, size: tuple[int, int] = FRAME) -> Face:
    """The neutral picture of a person in a frame of `size` (height, width). The arrays are read-only."""
    portrait = PORTRAITS[person.portrait]
    height, width = size
    left, right = np.array(portrait.pairs["face_side"])
    enlarge = person.width / np.linalg.norm(right - left)
    middle = np.array([(width - 1) / 2, (height - 1) / 2]) + person.place
    # portrait = centre + to_portrait * (frame - middle + warp(frame))
    to_portrait = np.array([-1.0 if person.mirror else 1.0, 1 / person.stretch]) / enlarge
    warp = np.array(person.warp, dtype=float).reshape(-1, 6) * person.width
    warp[:, :2] += middle

    grid = np.mgrid[:height, :width][::-1].astype(float) + bumps.field(warp, height, width)
    source = _centre(portrait)[:, None, None] + to_portrait[:, None, None] * (grid - middle[:, None, None])
    grey = map_coordinates(load(person.portrait).astype(np.float64), source[::-1], order=3, mode="mirror")
    picture = _tone(grey, person, middle)
    picture.setflags(write=False)

    def place(points: object) -> np.ndarray:
        there = (np.array(points, dtype=float).reshape(-1, 2) - _centre(portrait)) / to_portrait + middle
        here = there.copy()
        for _ in range(40):  # here + warp(here) = there; the warp is a contraction, 40 rounds reach 1e-9 px
            here = there - bumps.at(warp, here)
        return here[::-1] if person.mirror else here

    landmarks = {name: place(points) for name, points in {**portrait.pairs, **portrait.middle}.items()}
    sides = landmarks["face_side"]
    return Face(picture, landmarks, float(np.linalg.norm(sides[1] - sides[0])))


def _tone(grey: np.ndarray, person: Person, middle: np.ndarray) -> np.ndarray:
    """Tone curve, light and skin grain: grey levels in, float32 grey levels in 12..243 out."""
    height, width = grey.shape
    value = np.clip(grey / 255, 0, 1) ** person.gamma
    value = 0.45 + person.contrast * (value - 0.45)
    across = (np.arange(width) - middle[0]) / person.width
    down = (np.arange(height) - middle[1]) / person.width
    value *= np.clip(1 + person.light[0] * across[None, :] + person.light[1] * down[:, None], 0.5, 1.5)
    noise = np.random.default_rng(person.seed).standard_normal((2, height, width))
    grain = gaussian_filter(noise[0], 1.0) * 3.55 + gaussian_filter(noise[1], 2.5) * 8.9  # each of unit variance
    value *= 1 + person.grain * grain / np.sqrt(2)
    # Bent, not cut, away from 0 and 255: neither drift of the light nor noise is then cut off.
    return (127.5 + 115 * np.tanh((255 * value - 127.5) / 115)).astype(np.float32)
