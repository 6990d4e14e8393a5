"""The losses of Micro-AU CLIP (paper: "Micro-AU CLIP: Fine-Grained Contrastive Learning from Local Independence to
Global Dependency for Micro-Expression Action Unit Detection").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def multi_task(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over units of their cross-entropies, each the mean over samples. Both float32 [B, A], labels 0 or 1."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=0).sum()


def dependency(weights: Tensor, labels: Tensor) -> Tensor:
    """Global dependency loss (eq. 8), the mean over samples: |W_d - Y|^2 / N, both [B, A].

    As printed: dependency weights sum to one, labels to how many units are active, so that it is zero with one active.
    """
    return (weights - labels).square().mean()


def same_class(labels: Tensor) -> Tensor:
    """Label matrices of all units (eq. 10): float32 [A, B, B], 1 where two samples agree in a unit. labels [B, A]."""
    units = labels.T
    return (units[:, :, None] == units[:, None, :]).float()


def diagonal(labels: Tensor) -> Tensor:
    """CLIP's label matrix, for all units alike (table VIII, OrigCL): a sample agrees with itself alone."""
    return torch.eye(len(labels), device=labels.device).expand(labels.shape[1], -1, -1)


def contrastive(images: Tensor, texts: Tensor, matrices: Tensor, temperature: float) -> Tensor:
    """Eq. 9 and 11: the sum over units of the cross-entropy between their cosines and their label matrix.

    images, texts: of each sample and unit [B, A, D]; matrices [A, B, B], rows for images. Cross-entropy is taken as in
    CLIP, of each image over the texts and of each text over the images, and averaged; where a row of the matrix has
    several ones, each counts by its share. Eq. 9 has no temperature: that is 1. A smaller one pulls harder: with random
    encoders on the demo database a unit's two texts hardly part at 1, and do at 0.1.
    """
    seen, read = F.normalize(images, dim=-1), F.normalize(texts, dim=-1)
    cosines = torch.einsum("iad,jad->aij", seen, read) / temperature
    forth = _cross_entropy(cosines, matrices)
    back = _cross_entropy(cosines.transpose(1, 2), matrices.transpose(1, 2))
    return ((forth + back) / 2).sum()


def _cross_entropy(scores: Tensor, matrices: Tensor) -> Tensor:
    """Of each unit, the mean over rows: [A]."""
    shares = matrices / matrices.sum(dim=-1, keepdim=True)
    return -(shares * scores.log_softmax(dim=-1)).sum(dim=-1).mean(dim=-1)
