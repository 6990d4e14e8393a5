"""Muon: momentum whose every step is made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

All directions of a weight matrix move by the same amount, so that few steps go further than Adam's; Torch's own is for
matrices, and what is trained here are convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# The odd polynomial that Jordan's Newton-Schulz iteration applies five times: singular values end near 1.
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
# Makes a step as large as Adam's at the same rate (Liu et al. 2025, arXiv 2502.16982).
_LIKE_ADAM = 0.2


class Muon(torch.optim.Optimizer):
    """For weights of two and more axes: [out, ...], the axes after the first taken as one. Nesterov momentum."""

    def __init__(self, weights: Iterable[nn.Parameter], rate: float, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move the weights. `closure` is not called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                running = self.state[weight].setdefault("m", torch.zeros_like(weight))
                running.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(running, group["momentum"]).reshape(len(weight), -1)
                size = group["lr"] * _LIKE_ADAM * max(update.shape) ** 0.5
                weight.sub_(size * orthogonal(update).view_as(weight))


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with its singular values brought near 1 (0.7 to 1.2)."""
    a, b, c = _POLYNOMIAL
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-12)
    for _ in range(5):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
