"""Where a trained network looks: attention as its model gives it, and Grad-CAM (Selvaraju et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mepipe.models.learner import Learner


@dataclass(frozen=True)
class Map:
    """Where one sample is looked at: values [h, w], or in steps of time [T, h, w]; what, and which number that is."""

    title: str
    unit: str
    values: np.ndarray


def weighed(activations: Tensor, gradients: Tensor) -> Tensor:
    """Grad-CAM's equations 1 and 2: maps [B, C, ...] weighed by their mean gradients, what speaks against cut off."""
    weights = gradients.flatten(2).mean(dim=2)
    return torch.relu(torch.einsum("bc,bc...->b...", weights, activations))


def evidence(learner: Learner, inputs: Sequence[Tensor], target: Tensor) -> Tensor | None:
    """Grad-CAM of one logit of each sample, int [B]: [B, h, w] or [B, T, h, w], in no unit; None where it has no maps.

    The network is cut where the maps are, so that it does not matter what of it was trained.
    """
    named = learner.evidence()
    if named is None:
        return None
    module, as_maps = named
    outputs: list[Tensor] = []

    def cut(module: nn.Module, given: object, output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_())
        return outputs[-1]

    handle = module.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            logits = learner(*inputs)
    finally:
        handle.remove()
    (gradients,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), outputs[-1])
    return weighed(as_maps(outputs[-1]).detach(), as_maps(gradients))


@torch.no_grad()
def attention(learner: Learner, inputs: Sequence[Tensor]) -> list[Map]:
    """What a model gives of its attention to one sample, inputs [1, ...]."""
    return [Map(name, "share of attention", _plain(found[0])) for name, found in learner.attention(*inputs).items()]


def of_logits(given: Callable[[Tensor], Tensor | None], titles: Sequence[tuple[int, str]]) -> list[Map]:
    """Grad-CAM maps of one sample for some of its logits, each with its title; given: a target int [1] -> maps."""
    found = []
    for index, title in titles:
        values = given(torch.tensor([index]))
        if values is not None:
            found.append(Map(title, "Grad-CAM", _plain(values[0])))
    return found


def _plain(values: Tensor) -> np.ndarray:
    found: np.ndarray = values.detach().float().cpu().numpy()
    return found
