"""The prompts of MPT: made of motion (the paper's), or learned vectors (VPT, which it is compared with)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gaussian_weights(mean: Tensor, variance: Tensor, frames: int) -> Tensor:
    """Weights over frames 0..T-1 of Gaussian kernels (eq. 11), normalised to sum 1.

    mean, variance: [B, n], in frames and frames squared -> [B, n, T]: exp(-(t - mean)^2 / (2 variance)) over its sum.
    """
    t = torch.arange(frames, device=mean.device, dtype=mean.dtype)
    # softmax of the exponent is that quotient, and cannot divide zero by zero when every frame is far from the mean
    return torch.softmax(-((t - mean[..., None]) ** 2) / (2 * variance[..., None]), dim=-1)


class MotionPrompts(nn.Module):
    """Temporal Gaussian tokenisation (eq. 8-12): motion [B, T, 3, H, W] -> prompts [B, n, width].

    Eq. 8: convolution, GELU and average pooling to grid x grid cells embed each frame as Z [T, channels * grid^2]. The
    activation is ours: without one, pooling averages a moved edge, bright on one side and dark on the other, away.
    Eq. 9-10: two linear layers read the time course (each channel's mean over the frame, all frames) and give each
    kernel's mean, anywhere between first and last frame, and variance. They start at zero weight, with means spread
    evenly over the clip, so that the prompts differ from the start. Eq. 11-12: one linear layer makes a prompt
    of each kernel's weighted sum of Z.
    """

    def __init__(self, prompts: int, frames: int, width: int, channels: int, grid: int) -> None:
        super().__init__()
        self.grid, self.frames = grid, frames
        self.conv = nn.Conv2d(3, channels, kernel_size=3, padding=1)
        self.mean = nn.Linear(frames * channels, prompts)
        self.variance = nn.Linear(frames * channels, prompts)
        self.project = nn.Linear(channels * grid * grid, width)
        with torch.no_grad():
            centres = (torch.arange(prompts) + 0.5) / prompts
            self.mean.weight.zero_()
            self.mean.bias.copy_(torch.logit(centres))
            self.variance.weight.zero_()
            # a kernel's half width is half the distance to its neighbour
            spread = torch.tensor(((frames - 1) / (2 * prompts)) ** 2)
            self.variance.bias.copy_(torch.log(torch.expm1(spread)))

    def kernels(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, C, g, g] -> mean and variance [B, n], in frames and frames squared."""
        course = features.mean(dim=(3, 4)).flatten(1)
        mean = torch.sigmoid(self.mean(course)) * (self.frames - 1)
        return mean, F.softplus(self.variance(course)) + 1e-3  # never a kernel of no width

    def forward(self, motion: Tensor) -> Tensor:
        batch, frames = motion.shape[:2]
        embedded = F.gelu(self.conv(motion.flatten(0, 1)))
        # average pooling as a mean: the same value, a third faster on a CPU, and deterministic on CUDA
        cells = embedded.unflatten(3, (self.grid, -1)).unflatten(2, (self.grid, -1))
        features = cells.mean(dim=(3, 5)).unflatten(0, (batch, frames))
        weights = gaussian_weights(*self.kernels(features), frames)
        return self.project(weights @ features.flatten(2))


class LearnedPrompts(nn.Module):
    """Visual prompts (VPT: Jia et al. 2022, eq. 4-8): n vectors for each of some layers, the same for every sample.

    Those of the first layer are put behind its tokens; where a later layer has its own (VPT-deep), they take the places
    of what the layer before made of its prompts. They begin uniform within Xavier's bound for a linear layer from a
    patch to a token, sqrt(6 / (3 patch^2 + width)), as in the authors' code (KMnP/vpt).
    """

    def __init__(self, prompts: int, layers: int, width: int, patch: int) -> None:
        super().__init__()
        bound = math.sqrt(6 / (3 * patch**2 + width))
        self.vectors = nn.Parameter(torch.empty(layers, prompts, width).uniform_(-bound, bound))

    def forward(self, tokens: Tensor, layer: int) -> Tensor:
        """What a layer is given [B, L, width] for what the layer before gave."""
        layers, prompts, _ = self.vectors.shape
        if layer >= layers:
            return tokens
        kept = tokens[:, :-prompts] if layer else tokens
        return torch.cat([kept, self.vectors[layer].expand(len(tokens), -1, -1)], dim=1)
