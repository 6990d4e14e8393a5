"""Training of MagNet's layout A on drawn pairs: `mepipe weights train magnet`.

The network starts as linear Eulerian magnification. The public layout can express it almost exactly (its motion
branch carries the pixels of every 2 x 2 block, as positive and negative parts), and from there training has only
to learn what linear magnification gets wrong: motion of more than a fraction of a pattern's size. From a random
start the same number of steps is spent on learning to draw a picture at all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mepipe.networks import magnet_data, magnet_quality
from mepipe.networks.magnet import MagNet, magnet
from mepipe.networks.muon import Muon

# Weights of the loss's parts beside the L1 distance of the frames (the paper: 0.1 for both kinds of consistency).
_EDGES, _CONSISTENCY = 0.5, 0.01
_BORDER = 6  # px whose content may come from outside the frame: not scored
# The decoder's blocks take most of the time and start as identities: so far only the first of them are trained.
_SHALLOW_UNTIL, _SHALLOW_BLOCKS = 0.7, 4
_DECAY = 0.998  # of the running mean of the weights, per step
_GAINS = (1.0, 1.15, 1.3)
_KEEP = 60.0  # seconds between checkpoints
# Taps that turn the mean and the half-difference of two neighbouring pixels, each written twice, into the two
# pixels: the linear least-squares fit over signals whose amplitude falls as one over the frequency.
_MEAN = (0.071, -0.142, 0.162, 0.819, 0.161, -0.142, 0.071)
_DIFFERENCE = (-0.167, 0.333, -0.667, 0.0, 0.666, -0.332, 0.166)


@dataclass(frozen=True)
class Plan:
    """How to train. The learning rate falls to nothing at `steps` steps or after `minutes`, whichever is first."""

    steps: int = 60000
    minutes: float | None = None
    batch: int = 4
    size: int = 64
    rate: float = 5e-4
    seed: int = 0


def train(
    plan: Plan,
    checkpoint: Path,
    device: str = "cpu",
    resume: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[MagNet, int]:
    """The trained network, and after how many steps. `resume`: from the checkpoint, where there is one.

    The checkpoint is kept, so that a run with more steps or minutes can go on from it. The same plan gives the same
    weights on one kind of machine, unless it was `minutes` that ended it.
    """
    net = started(plan.seed).to(memory_format=torch.channels_last).to(device)
    mean = {name: value.detach().clone() for name, value in net.state_dict().items()}
    optimiser = Muon(net.parameters(), plan.rate)
    step, spent = 0, 0.0
    if resume and checkpoint.exists():
        kept = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(kept["net"])
        optimiser.load_state_dict(kept["optimiser"])
        mean, step, spent = kept["mean"], kept["step"], kept["spent"]
    textures = magnet_data.training_tiles().to(device)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    begun, saved, losses = time.monotonic() - spent, time.monotonic(), []
    while True:
        spent = time.monotonic() - begun
        progress = max(step / plan.steps, spent / 60 / plan.minutes if plan.minutes else 0)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * _rate(step, progress)
        # Each step has a seed of its own, so that a resumed run draws what an unbroken one would have drawn.
        generator = torch.Generator().manual_seed(plan.seed * 1_000_000_007 + step)
        pairs = magnet_data.draw(textures, plan.batch, plan.size, generator)
        with _shallow(net, progress < _SHALLOW_UNTIL):
            losses.append(_step(net, optimiser, pairs))
        step += 1
        with torch.no_grad():
            decay = min(_DECAY, step / (step + 20))
            for name, value in net.state_dict().items():
                mean[name].lerp_(value, 1 - decay)
        if step % 100 == 0:
            tell(f"step {step}, {spent / 60:.1f} min, loss {np.mean(losses):.5f}")
            losses = []
        if time.monotonic() - saved > _KEEP:
            saved = time.monotonic()
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean}
            part = checkpoint.with_suffix(".part")
            torch.save(state | {"step": step, "spent": saved - begun}, part)
            part.replace(checkpoint)
    net.load_state_dict(mean)
    return net.cpu().eval(), step


def calibrate(net: MagNet) -> float:
    """Make up for motion that is magnified too little, and say by how much.

    Where the network is unsure it errs towards too little motion, as the median of what is likely does; the less it was
    trained, the more. What `g` gives is multiplied by the gain that brings motion closest to what was asked of pictures
    it was trained on.
    """
    misses = {}
    for gain in _GAINS:
        scores = magnet_quality.measure(magnet_quality.by(net, gain), pictures=magnet_quality.CHOOSING)
        misses[gain] = np.mean([magnet_quality.off(scores, factor) for factor in magnet_quality.FACTORS])
    best = min(misses, key=lambda gain: float(misses[gain]))
    with torch.no_grad():
        net.get_parameter("manipulator.g.conv2d.weight").mul_(best)
    return best


def save(net: MagNet, out: Path, plan: Plan, steps: int, gain: float) -> None:
    """The weights as safetensors, in half precision, with a header that says what they are and how good."""
    from safetensors.torch import save_file

    half = {name: value.detach().cpu().half().contiguous() for name, value in net.state_dict().items()}
    about = {
        "network": "magnet (layout A of Oh et al. 2018, arXiv 1804.02684)",
        "amplification": "motion from frame A grows by the factor 1 + amplification",
        "training": json.dumps(asdict(plan) | {"steps": steps, "gain": gain}),
        "data": "drawn scenes (mepipe.networks.magnet_data): sub-pixel motion of cut-outs and smooth local warps over "
        f"generated patterns and tiles of scikit-image's {', '.join(magnet_data.TRAINING)}; no portrait",
        "measured": magnet_quality.summary(magnet_quality.measure(magnet_quality.by(net))),
        "licence": "MIT",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(half, out, metadata=about)
    out.chmod(0o644)  # safetensors makes files that only their owner reads


def loss(net: MagNet, pairs: magnet_data.Pairs) -> Tensor:
    """L1 of frame and edges where things move most of all, and the paper's consistency of texture and motion."""
    texture_a, motion_a = net.encode(pairs.a)
    texture_b, motion_b = net.encode(pairs.b)
    frame = net.decode(texture_b, net.manipulate(motion_a, motion_b, pairs.amplification))
    error = (frame - pairs.target)[..., _BORDER:-_BORDER, _BORDER:-_BORDER]
    moved = (pairs.target - pairs.b)[..., _BORDER:-_BORDER, _BORDER:-_BORDER].abs()
    weight = 1 + 3 * (moved.mean(dim=1, keepdim=True) * 10).clamp(max=1)
    result = (weight * error.abs()).mean()
    for axis in (-1, -2):
        result = result + _EDGES * error.diff(dim=axis).abs().mean()
    _, motion_other = net.encode(pairs.recoloured[:1])
    steadiness = (texture_a - texture_b).abs().mean() + (motion_b[:1] - motion_other).abs().mean()
    return result + _CONSISTENCY * steadiness


def _step(net: MagNet, optimiser: torch.optim.Optimizer, pairs: magnet_data.Pairs) -> float:
    optimiser.zero_grad()
    value = loss(net, pairs)
    value.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    return float(value.detach())


@contextmanager
def _shallow(net: MagNet, so: bool) -> Iterator[None]:
    """Within, the decoder has only its first residual blocks, if `so`."""
    decoder = net.get_submodule("decoder")
    blocks = decoder.resblks
    assert isinstance(blocks, nn.Sequential)
    decoder.resblks = blocks[:_SHALLOW_BLOCKS] if so else blocks
    try:
        yield
    finally:
        decoder.resblks = blocks


def _rate(step: int, progress: float) -> float:
    """Linear warm-up over 100 steps, then a cosine down to nothing."""
    return min(1.0, (step + 1) / 100) * 0.5 * (1 + float(np.cos(np.pi * progress)))


def started(seed: int) -> MagNet:
    """Layout A as linear magnification, `b + amplification (b - a)`, with what that leaves free at random."""
    torch.manual_seed(seed)
    net = magnet()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            fan = weight[0].numel()
            # Residual blocks start as identities: their second convolution is all but silent.
            silent = "resbl" in name and ".cba_2." in name
            weight.normal_(0, 1e-3 if silent else 0.7 * (2 / fan) ** 0.5)
        for name, taps in _linear().items():
            weight = net.get_parameter(f"{name}.conv2d.weight")
            low = (weight.shape[-1] - taps.shape[-1]) // 2
            window = slice(low, low + taps.shape[-1])
            weight[: taps.shape[0]] = 0
            weight[: taps.shape[0], : taps.shape[1], window, window] = torch.from_numpy(taps).float()
    return net


def _linear() -> dict[str, np.ndarray]:
    """Centred taps of the first channels, [out, in, k, k], of each convolution on the way of linear magnification.

    Rectified channels go in pairs, the positive and the negative part of one value: 3 colours, then of every
    2 x 2 block of pixels its 12 values, ordered (colour, y, x).
    """
    parts = np.array([[1.0], [-1.0]])  # a value -> its two parts, before they are rectified
    value = parts.T  # the two parts -> the value
    pick = np.zeros((12, 3, 3, 3))
    for index, (colour, y, x) in enumerate(np.ndindex(3, 2, 2)):
        pick[index, colour, 1 + y, 1 + x] = 1
    hadamard = np.array([[0.5, 0.5], [0.5, -0.5]])  # two neighbours -> mean, half-difference
    spread = np.kron(np.eye(3), np.kron(hadamard, hadamard))
    kernels = np.array([_MEAN, _DIFFERENCE])
    draw = np.zeros((3, 12, 7, 7))
    for colour, p, q in np.ndindex(3, 2, 2):
        draw[colour, 4 * colour + 2 * p + q] = np.outer(kernels[p], kernels[q])
    flat = {
        "encoder.cba_1": np.kron(np.eye(3), parts),
        "encoder.motion_cba": np.eye(24),
        "manipulator.g": np.kron(np.eye(12), parts @ value),
        "manipulator.h_conv": np.kron(np.eye(12), parts @ value) / 2,
        # The decoder sees 32 channels of texture before those of motion.
        "decoder.cba_1": np.hstack([np.zeros((24, 32)), np.kron(spread, parts @ value)]),
    }
    return {name: weight[:, :, None, None] for name, weight in flat.items()} | {
        "encoder.cba_2": np.kron(pick, (parts @ value)[:, :, None, None]),
        "decoder.cba_2": np.kron(draw, value[:, :, None, None]),
    }
