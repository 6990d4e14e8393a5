"""What Micro-AU CLIP is made of (paper: "Micro-AU CLIP: Fine-Grained Contrastive Learning from Local Independence to
Global Dependency for Micro-Expression Action Unit Detection", section III): regions, pooling, dependency, encoders cut.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mepipe.errors import UsageError
from mepipe.networks.clip_image import ImageEncoder
from mepipe.networks.clip_parts import TextEncoder

# Table I: which of 68 landmarks, counted from 0, lie in the region of an action unit.
_BROWS = (19, 20, 21, 22, 23, 24)
REGIONS = {
    1: _BROWS,
    2: _BROWS,
    4: _BROWS,
    7: (38, 41, 44, 47),
    12: (48, 54),
    14: (55, 59, 60, 64),
    15: (48, 54),
    17: (7, 8, 9, 57),
}


def regions(units: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The landmarks of units (table I). UsageError where a unit has none there."""
    if lacking := [unit for unit in units if unit not in REGIONS]:
        msg = (
            f"Micro-AU CLIP has no landmarks for action unit {lacking[0]}. "
            f"It has them for: {', '.join(map(str, REGIONS))} (--units)."
        )
        raise UsageError(msg)
    return tuple(REGIONS[unit] for unit in units)


def patches(points: Tensor, crop: int, grid: int) -> Tensor:
    """Which patch each landmark lies in (eq. 1): [..., 2] in pixels, x and y, of a crop -> int64 [...], by rows.

    The patch in column x and row y: eq. 1 as printed scales x by heights and y by widths, which in a square are one.
    What lies outside the crop belongs to the nearest patch.
    """
    cells = ((points + 0.5) * grid / crop).floor().long().clamp(0, grid - 1)
    return cells[..., 1] * grid + cells[..., 0]


def perceptron(width: int, hidden: int, out: int) -> nn.Sequential:
    """One hidden layer with ReLU: the paper's MLP, of which it says no more."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out))


class PatchAttention(nn.Module):
    """Patch token attention of one unit (eq. 2-3): tokens [B, J, D] -> [B, D], weighted by what a perceptron says."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.score = perceptron(width, hidden, 1)

    def weights(self, tokens: Tensor) -> Tensor:
        """The share of each token: [B, J, 1], sum 1."""
        return self.score(tokens).softmax(dim=1)

    def forward(self, tokens: Tensor) -> Tensor:
        return (self.weights(tokens) * tokens).sum(dim=1)


class Pool(nn.Module):
    """Tokens [B, J, D] -> [B, D], their mean or greatest (table VI)."""

    def __init__(self, greatest: bool) -> None:
        super().__init__()
        self.greatest = greatest

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.amax(dim=1) if self.greatest else tokens.mean(dim=1)


class GlobalAttention(nn.Module):
    """Global dependency attention (eq. 4-6): features of units [B, A, D] -> what they share [B, D], weights [B, A].

    FC of eq. 5 is taken to see the whole matrix A, of N x N, and to give N numbers.
    """

    def __init__(self, units: int, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.weigh = nn.Linear(units * units, units)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.query(features) @ self.key(features).transpose(1, 2) / features.shape[-1] ** 0.5
        weights = torch.relu(self.weigh(scores.softmax(dim=-1).flatten(1))).softmax(dim=-1)
        return (weights[:, None] @ self.value(features))[:, 0], weights


class Joined(nn.Module):
    """In place of global dependency attention, a perceptron on the units' sum or concatenation (table VII)."""

    def __init__(self, units: int, width: int, hidden: int, concatenated: bool) -> None:
        super().__init__()
        self.concatenated = concatenated
        self.mix = perceptron(units * width if concatenated else width, hidden, width)

    def forward(self, features: Tensor) -> tuple[Tensor, None]:
        return self.mix(features.flatten(1) if self.concatenated else features.sum(dim=1)), None


class ImageTail(nn.Module):
    """The last layers of CLIP's image half, from stored tokens: [B, 1 + patches, width] -> [B, 1 + patches, D].

    Every token is brought into the space of texts as CLIP brings the class token there.
    """

    def __init__(self, encoder: ImageEncoder, trained: int) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(encoder.transformer.resblocks[-trained:])
        self.ln_post = copy.deepcopy(encoder.ln_post)
        self.proj = nn.Parameter(encoder.proj.detach().clone())
        self.requires_grad_(True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.ln_post(self.blocks(tokens)) @ self.proj


class TextTail(nn.Module):
    """The last layers of CLIP's text half: what `before` gave of texts [T, L, width], and their ends -> [T, D]."""

    def __init__(self, encoder: TextEncoder, trained: int) -> None:
        super().__init__()
        self.blocks = copy.deepcopy(encoder.transformer.resblocks[-trained:])
        self.ln_final = copy.deepcopy(encoder.ln_final)
        self.projection = nn.Parameter(encoder.text_projection.detach().clone())

    def forward(self, tokens: Tensor, ends: Tensor) -> Tensor:
        x = self.blocks(tokens)
        return self.ln_final(x[torch.arange(len(x), device=x.device), ends]) @ self.projection


@torch.no_grad()
def before(encoder: TextEncoder, ids: Tensor, trained: int) -> tuple[Tensor, Tensor]:
    """Tokens of texts as they enter the layers that are trained [T, L, width], and where each text ends, int64 [T].

    ids: int64 [T, 77]; cut to the longest text.
    """
    ends = ids.argmax(dim=1)
    x = encoder.token_embedding(ids[:, : int(ends.max()) + 1])
    x = x + encoder.positional_embedding[: x.shape[1]]
    return encoder.transformer.resblocks[:-trained](x), ends
