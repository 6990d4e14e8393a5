"""Training pairs for MagNet, whose motion and magnified frame are known exactly; drawn on the device that trains.

The paper's kind of data (Oh et al. 2018, section 3.3): objects cut out of one texture move over another by a
fraction of a pixel. Added to it are smooth local warps, which is how a face moves. A scene is a continuous
picture: frame A, frame B and the magnified frame are each sampled from its textures once, at the places that
their displacement calls for, so that the target is moved by the factor and not resampled from another frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mepipe.errors import MepipeError

_TILE = 256
# Of the pictures in scikit-image's package, those that it says are free to use. Not among them: `astronaut`, which with
# matplotlib's `grace_hopper` is a face of the demo, `rocket` and `gravel`: on these the result is measured
# (mepipe.networks.magnet_quality).
TRAINING = (
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
    "text.png",
)
_PATTERNS = 64


@dataclass(frozen=True)
class Pairs:
    """A batch. Frames [B, 3, S, S] in -1..1.

    a, b: the network's inputs, with noise. recoloured: b under another light. target: what b looks like when
    everything moved `1 + amplification` times as far since a; amplification [B].
    """

    a: Tensor
    b: Tensor
    recoloured: Tensor
    target: Tensor
    amplification: Tensor


def tiles(names: tuple[str, ...], patterns: int = 0) -> Tensor:
    """Textures, uint8 [N, 3, 256, 256]: tiles of scikit-image's packaged pictures, and generated patterns."""
    found = find_spec("skimage")
    if found is None or found.origin is None:
        msg = "MagNet is trained on pictures that come with scikit-image. Install it: pip install 'mepipe[extract]'."
        raise MepipeError(msg)
    folder = Path(found.origin).parent / "data"
    pictures = [tile for name in names for tile in _cut(folder / name)]
    rng = np.random.default_rng(0)
    pictures += [_pattern(rng, index) for index in range(patterns)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def training_tiles() -> Tensor:
    """What our weights are trained on: tiles of 12 pictures, 64 patterns."""
    return tiles(TRAINING, _PATTERNS)


def draw(textures: Tensor, count: int, size: int, generator: torch.Generator) -> Pairs:
    """`count` scenes of `size` px. The generator lives on the CPU: the same pairs on every device, up to rounding."""
    scene = _Scene(textures, count, size, generator)
    factor = 1 + scene.amplification
    a, b, target = (scene.frame(f) for f in (torch.zeros_like(factor), torch.ones_like(factor), factor))
    light = 1 + 0.02 * scene.normal(3, 1, 1) * (scene.uniform(0, 1, 1, 1, 1) < 0.2)
    # Mostly little noise: a network that has seen much takes small motion for noise, and magnifies it too little.
    noise = scene.uniform(0, 1, 1, 1, 1) ** 6
    recoloured = b.clamp(1e-3, 1) ** torch.exp(0.3 * scene.normal(3, 1, 1)) * scene.uniform(0.8, 1.1, 3, 1, 1)
    noisy = [x + noise * (2 / 255 + 0.02 * x) * scene.normal(3, size, size) for x in (a * light, b, recoloured)]
    frames = [x.clamp(0, 1) * 2 - 1 for x in (*noisy, target)]
    return Pairs(frames[0], frames[1], frames[2], frames[3], scene.amplification)


class _Scene:
    """Two moving cut-outs on a moving ground, for a whole batch at once."""

    def __init__(self, textures: Tensor, count: int, size: int, generator: torch.Generator) -> None:
        self.device, self.count, self.size, self.generator = textures.device, count, size, generator
        axis = torch.arange(size, dtype=torch.float32, device=self.device) - (size - 1) / 2
        self.grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"))
        # How far the magnified frame lies from frame B decides how hard a pair is: drawn evenly in its logarithm.
        self.amplification = torch.exp(self.uniform(np.log(0.5), np.log(11)))
        extra = torch.exp(self.uniform(np.log(0.15), np.log(9)))
        self.swing = (extra / self.amplification).clamp(max=3.5) * (self.uniform(0, 1) > 0.06)
        self.layers = [_Layer(self, textures, ground=index == 0) for index in range(3)]

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(self.count, *shape, generator=self.generator)
        return (low + (high - low) * drawn).to(self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.generator).to(self.device)

    def frame(self, factor: Tensor) -> Tensor:
        """[B, 3, S, S] in 0..1, everything displaced by `factor` [B] times its motion."""
        result: Tensor | None = None
        for layer in self.layers:
            places = layer.origin(self.grid, factor.view(-1, 1, 1, 1))
            colour, mask = layer.colour(places), layer.mask(places)
            result = colour if result is None else result + mask * (colour - result)
        assert result is not None
        return result


class _Layer:
    def __init__(self, scene: _Scene, textures: Tensor, ground: bool) -> None:
        pick = torch.randint(len(textures), (scene.count,), generator=scene.generator)
        self.texture = textures[pick.to(textures.device)].float() / 255
        turn = scene.uniform(-np.pi, np.pi)
        pitch = scene.uniform(1.0, 2.0)  # texture px to a frame px
        cos, sin = pitch * turn.cos(), pitch * turn.sin()
        self.view = torch.stack([cos, -sin, sin, cos], dim=-1).view(-1, 2, 2)
        room = (_TILE - scene.size * 2) / 2
        self.centre = scene.uniform(-room, room, 2, 1, 1) if room > 0 else torch.zeros(1, device=scene.device)
        self.contrast, self.level = scene.uniform(0.25, 1.1, 1, 1, 1), scene.uniform(0.3, 0.7, 3, 1, 1)
        self.mixed = scene.uniform(0, 1, 1, 1, 1) ** 3  # how far towards grey

        swing = scene.swing.view(-1, 1, 1, 1)
        # Of all scenes half have a ground that stays while something in it moves; an object always moves.
        drift = swing * (scene.uniform(0, 1, 1, 1, 1) < (0.4 if ground else 1.0))
        self.drift = drift * _direction(scene) * scene.uniform(0.3, 1, 1, 1, 1)
        self.spin = scene.normal(1, 1, 1) * drift / scene.size * 0.5
        self.bumps = [_Bump(scene, swing) for _ in range(2 if ground else 0)]
        half = scene.size / 2
        self.place = scene.uniform(-half, half, 2, 1, 1)
        present = scene.uniform(0, 1, 1, 1) < 0.35
        self.radius = torch.where(present, scene.uniform(0.12, 0.4, 1, 1) * scene.size, -1e3)
        self.lobes = torch.randint(0, 6, (scene.count, 1, 1), generator=scene.generator).to(scene.device)
        self.phase, self.wave = scene.uniform(0, 6.3, 1, 1), scene.uniform(0, 0.35, 1, 1)
        self.edge = scene.uniform(0.4, 2.5, 1, 1)

    def displacement(self, p: Tensor) -> Tensor:
        """Motion of the points [B, 2, S, S] from A to B, px."""
        moved = self.drift + self.spin * torch.stack([-p[:, 1], p[:, 0]], dim=1)
        for bump in self.bumps:
            moved = moved + bump.displacement(p)
        return moved

    def origin(self, grid: Tensor, factor: Tensor) -> Tensor:
        """Where what is seen at the grid has come from: p with p + factor displacement(p) = grid, [B, 2, S, S]."""
        p = grid.expand(len(factor), -1, -1, -1)
        if factor.any():
            for _ in range(4):  # a contraction: the error falls to a few hundredths of the displacement
                p = grid - factor * self.displacement(p)
        return p

    def colour(self, p: Tensor) -> Tensor:
        turned = (self.view @ p.flatten(2)).view_as(p)
        place = (turned + self.centre) / (_TILE / 2)
        seen = functional.grid_sample(self.texture, place.permute(0, 2, 3, 1), "bicubic", "reflection", False)
        seen = seen + self.mixed * (seen.mean(dim=1, keepdim=True) - seen)
        return ((seen - 0.5) * self.contrast + self.level).clamp(0, 1)

    def mask(self, p: Tensor) -> Tensor:
        x, y = (p - self.place).unbind(dim=1)
        outline = self.radius * (1 + self.wave * torch.cos(self.lobes * torch.atan2(y, x) + self.phase))
        return torch.sigmoid((outline - torch.hypot(x, y)) / self.edge).unsqueeze(1)


class _Bump:
    """A smooth local shift: a Gaussian, wide enough that magnifying does not fold the picture."""

    def __init__(self, scene: _Scene, swing: Tensor) -> None:
        self.peak = swing * _direction(scene) * scene.uniform(0.2, 1, 1, 1, 1) * (scene.uniform(0, 1, 1, 1, 1) < 0.6)
        largest = self.peak.norm(dim=1, keepdim=True) * (1 + scene.amplification.view(-1, 1, 1, 1))
        half = scene.size / 2
        self.place = scene.uniform(-half, half, 2, 1, 1)
        self.width = torch.maximum(scene.uniform(6, 24, 1, 1, 1), 2.2 * largest)

    def displacement(self, p: Tensor) -> Tensor:
        x, y = (p - self.place).split(1, dim=1)
        return self.peak * torch.exp((x * x + y * y) * (-0.5 / self.width**2))


def _direction(scene: _Scene) -> Tensor:
    angle = scene.uniform(-np.pi, np.pi, 1, 1)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def _cut(path: Path) -> list[np.ndarray]:
    """Tiles of a picture, as many as fit with little overlap; a small picture is enlarged first."""
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if max(picture.size) > 1000:
        picture.thumbnail((900, 900), Image.Resampling.LANCZOS)
    scale = _TILE / min(picture.size)
    if scale > 1:
        width, height = (int(np.ceil(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(picture)
    starts = [np.linspace(0, side - _TILE, -(-side // _TILE)).astype(int) for side in pixels.shape[:2]]
    return [pixels[y : y + _TILE, x : x + _TILE] for y in starts[0] for x in starts[1]]


def _pattern(rng: np.random.Generator, index: int) -> np.ndarray:
    """A generated texture: clouds of one over a power of frequency, and what can be made of them."""
    colour = 0.35 * rng.standard_normal((1, 1, 3)) + 1
    cloud = _cloud(rng, rng.uniform(0.8, 2.2))
    kind = index % 4
    if kind == 1:  # patches with sharp, smooth outlines
        cloud = np.tanh(8 * _cloud(rng, 2.2)) + 0.3 * cloud
    elif kind == 2:  # bent stripes
        ramp = np.linspace(0, rng.uniform(60, 300), _TILE)
        cloud = np.sin(ramp[None, :] + 6 * _cloud(rng, 2.5)) + 0.3 * cloud
    elif kind == 3:  # skin: smooth shading, fine grain, a few dark spots
        spots = np.minimum(_cloud(rng, 1.8) + 1.5, 0)
        cloud = _cloud(rng, 3) + 0.15 * _cloud(rng, 0.6) + 1.5 * spots
    shade = cloud[..., None] * colour + 0.25 * np.stack([_cloud(rng, 2) for _ in range(3)], axis=-1)
    return (np.clip(0.5 + 0.2 * shade / shade.std(), 0, 1) * 255).astype(np.uint8)


def _cloud(rng: np.random.Generator, power: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency, [256, 256], mean 0, variance 1."""
    fy, fx = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :]
    radius = np.hypot(fy, fx)
    radius[0, 0] = np.inf
    # Nothing above a quarter of the sampling rate: sampled between its pixels it must be smooth.
    weight = radius**-power * np.exp(-((radius / 0.3) ** 4))
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((_TILE, _TILE))) * weight)
    return (noise - noise.mean()) / noise.std()
