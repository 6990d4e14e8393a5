"""What the fold loop trains: a network, its objective, and how long and how fast it learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from mepipe.models.similarity import Matrix


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

    def also(self, *inputs: Tensor) -> Mapping[str, Tensor]:
        """What it says beside its logits, by a name that the model declares (`Model.also`): scores [B, classes]."""
        return {}

    # What `mepipe explain` asks of a trained network; what is not answered is not drawn.

    def represent(self, *inputs: Tensor) -> Tensor | None:
        """What the last layer judges by: [B, D]; of action units that have a feature each, [B, A, D]."""
        return None

    def seen(self, *inputs: Tensor) -> Tensor | None:
        """The inputs as they can be looked at: pictures [B, 3, H, W] or clips [B, T, 3, H, W], RGB in 0..1, or flow
        [B, 2, H, W] in pixels.
        """
        return None

    def attention(self, *inputs: Tensor) -> Mapping[str, Tensor]:
        """By name, the share of its attention that it pays to each place: [B, h, w], or in steps of time [B, T, h, w].

        What goes elsewhere (to the class token itself, to prompts) is left out, so that places sum to at most 1.
        """
        return {}

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]] | None:
        """The module whose output Grad-CAM weighs, and what makes maps of it: [B, C, h, w], or [B, C, T, h, w]."""
        return None

    def similarity(self, classes: Sequence[str], labels: Tensor, *inputs: Tensor) -> Mapping[str, Matrix]:
        """By name, cosines of features, sums of which over batches and folds make sense. Labels are of the batch."""
        return {}


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: a fixed number of epochs, in shuffled batches.

    lr: of the first epoch, or after the warm-up. decay: factor from each epoch to the next. milestones: epochs at which
    the rate falls to a tenth. warmup: epochs in which it rises in even steps. cosine: it falls to zero after that.
    accumulate: the parts that a batch is computed in, one after another; their gradients are averaged.
    floor: the share of the rate that the warm-up begins with and the cosine ends at; it then changes with every step.
    clip_norm: what the norm of all gradients is cut to, 0 for not at all. decay_all: weight decay of norms and biases
    too.
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
    floor: float = 0.0
    clip_norm: float = 0.0
    decay_all: bool = True

    def rate(self, epoch: float) -> float:
        """The learning rate in an epoch, from 0; with a floor at any point within it."""
        if epoch < self.warmup:
            if self.floor:
                return self.lr * (self.floor + (1 - self.floor) * epoch / self.warmup)
            return self.lr * (epoch + 1) / (self.warmup + 1)
        rate = self.lr * self.decay**epoch * 0.1 ** sum(epoch >= m for m in self.milestones)
        if self.cosine:
            share = (1 + math.cos(math.pi * (epoch - self.warmup) / max(1, self.epochs - self.warmup))) / 2
            rate *= self.floor + (1 - self.floor) * share
        return rate

    def make(self, learner: Learner) -> torch.optim.Optimizer:
        """The optimiser of a network, its groups' rates relative to the schedule's: see `set_rate`."""
        groups = [{"params": list(params), "factor": factor} for params, factor in learner.rates()]
        if not self.decay_all:
            groups = [half for group in groups for half in _halves(group, learner)]
        options: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=self.momentum, **options)
        kind = torch.optim.AdamW if self.optimiser == "adamw" else torch.optim.Adam
        return kind(groups, **options)

    def set_rate(self, optimiser: torch.optim.Optimizer, epoch: int, within: float = 0.0) -> None:
        """Set every group's rate for an epoch; within: how much of it is over, which counts with a floor."""
        for group in optimiser.param_groups:
            group["lr"] = self.rate(epoch + within if self.floor else epoch) * group["factor"]

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """A step of the optimiser, the gradients cut before it."""
        if self.clip_norm:
            nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], self.clip_norm)
        optimiser.step()


def _halves(group: dict[str, Any], learner: Learner) -> list[dict[str, Any]]:
    """A group of parameters in two: with weight decay, and without: all of norms, and what is named `bias`.

    As mmengine has it with norm_decay_mult and bias_decay_mult of 0: an attention's `in_proj_bias` is decayed.
    """
    norms = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    bare = {
        id(p)
        for module in learner.modules()
        for name, p in module.named_parameters(recurse=False)
        if name == "bias" or isinstance(module, norms)
    }
    without = [p for p in group["params"] if id(p) in bare]
    return [
        {**group, "params": [p for p in group["params"] if id(p) not in bare]},
        {**group, "params": without, "weight_decay": 0.0},
    ]
