"""What the fold loop trains: a network, its objective, and how long and how fast it learns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Learner(nn.Module):
    """A network that takes a batch of inputs, each float32 [B, ...], and gives logits [B, classes].

    What a loss draws at random comes from Torch's own generator, which the fold loop seeds. stackable: it draws
    nothing, and training changes only parameters, so that many folds can be trained as one (`train/stacked.py`).
    """

    stackable = False

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Called once with the inputs of all training samples, to fit what the loss does not: a scaling, say."""

    def objective(self, inputs: tuple[Tensor, ...], labels: Tensor, progress: float) -> Tensor:
        """The loss of a training batch. labels: int64 [B]. progress: of the training, 0 at its start, below 1."""
        return self.weighted(inputs, labels, torch.ones(len(labels), device=labels.device), progress)

    def weighted(self, inputs: tuple[Tensor, ...], labels: Tensor, weights: Tensor, progress: float) -> Tensor:
        """The loss over the samples with weight 1 only; those with weight 0 fill up a batch. weights: float32 [B]."""
        each = F.cross_entropy(self(*inputs), labels, reduction="none")
        return (each * weights).sum() / weights.sum()

    def rates(self) -> list[tuple[Iterable[nn.Parameter], float]]:
        """What is trained, in groups, each with the factor by which it learns faster than the schedule says."""
        return [([p for p in self.parameters() if p.requires_grad], 1.0)]

    def after_step(self) -> None:
        """Called after each step of the optimiser: a momentum target is moved here."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: a fixed number of epochs, in shuffled batches.

    lr: of the first epoch, or after the warm-up. decay: factor from each epoch to the next. milestones: epochs at which
    the rate falls to a tenth. warmup: epochs in which it rises in even steps. cosine: it falls to zero after that.
    accumulate: the parts that a batch is computed in, one after another; their gradients are averaged.
    """

    epochs: int
    batch: int
    lr: float
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    decay: float = 1.0
    milestones: tuple[int, ...] = ()
    warmup: int = 0
    cosine: bool = False
    accumulate: int = 1

    def rate(self, epoch: int) -> float:
        """The learning rate in an epoch, from 0."""
        if epoch < self.warmup:
            return self.lr * (epoch + 1) / (self.warmup + 1)
        rate = self.lr * self.decay**epoch * 0.1 ** sum(epoch >= m for m in self.milestones)
        if self.cosine:
            rate *= (1 + math.cos(math.pi * (epoch - self.warmup) / max(1, self.epochs - self.warmup))) / 2
        return rate

    def make(self, learner: Learner) -> torch.optim.Optimizer:
        """The optimiser of a network, its groups' rates relative to the schedule's: see `set_rate`."""
        groups = [{"params": list(params), "factor": factor} for params, factor in learner.rates()]
        options: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=self.momentum, **options)
        kind = torch.optim.AdamW if self.optimiser == "adamw" else torch.optim.Adam
        return kind(groups, **options)

    def set_rate(self, optimiser: torch.optim.Optimizer, epoch: int) -> None:
        """Set every group's rate for an epoch."""
        for group in optimiser.param_groups:
            group["lr"] = self.rate(epoch) * group["factor"]
