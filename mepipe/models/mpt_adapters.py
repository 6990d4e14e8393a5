"""Adapters: what MPT learns in each layer of a frozen transformer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bottleneck(nn.Module):
    """Down, GELU, up (width -> width / reduction -> width), without biases; the up-projection starts at zero."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // reduction, bias=False)
        self.up = nn.Linear(width // reduction, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(F.gelu(self.down(x)))


class SharedAdapter(nn.Module):
    """The primitive adapter (Houlsby et al. 2019): x + bottleneck(x), the same for every token of [B, L, width]."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.all = Bottleneck(width, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.all(x)


class GroupAdapter(nn.Module):
    """Group adapter (eq. 14-16): tokens [B, 1 + visual + motion, width] -> the same shape, a branch for each group.

    The formulas are lost in the extracted text, which says that each branch is a bottleneck, that the averages of the
    class, visual and motion tokens enter, and that this makes for cross-modal learning. So each token, x, becomes
    x + branch(x + the averages of the other two groups): the residual carries the token alone, and the averages tell
    the branch what the other groups hold. One bottleneck per token and eq. 8's convolution add up to the paper's
    18.7 GFLOPs. Without prompts there is no motion group, and no branch for it.
    """

    def __init__(self, width: int, reduction: int, visual: int, prompts: int) -> None:
        super().__init__()
        self.sizes = [1, visual, prompts] if prompts else [1, visual]
        names = ("cls", "visual", "motion")[: len(self.sizes)]
        self.branches = nn.ModuleDict({name: Bottleneck(width, reduction) for name in names})

    def forward(self, x: Tensor) -> Tensor:
        groups = x.split(self.sizes, dim=1)
        averages = torch.stack([group.mean(dim=1, keepdim=True) for group in groups])
        total = averages.sum(dim=0)
        adapted = [
            group + branch(group + total - own)
            for group, own, branch in zip(groups, averages, self.branches.values(), strict=True)
        ]
        return torch.cat(adapted, dim=1)
