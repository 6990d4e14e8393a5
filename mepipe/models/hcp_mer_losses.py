"""The losses of HCP_MER (paper: "Learning Holistic-Componential Prompt Groups for Micro-Expression Recognition").

A response is a branch's opinion of each class: the softmax over classes of the cosines of its image and its texts over
the temperature; here as a logarithm, [B, classes].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Negatives = Literal["classes", "batch", "branches"]


def cosines(images: Tensor, texts: Tensor) -> Tensor:
    """Cosine of each image [B, D] with each text [C, D]: [B, C] (eq. 4, of one branch)."""
    return F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T


def contrastive(
    images: Sequence[Tensor], texts: Sequence[Tensor], labels: Tensor, temperature: float, negatives: Negatives
) -> Tensor:
    """Eq. 5, the mean over samples of the sum over branches of -log(own / (own + negatives)), own being
    exp(S(V, T) / tau) of a sample's image and the text of its class.

    images: of each branch [B, D]; texts: of each branch [C, D]; labels int64 [B]. The paper calls the negatives
    "different" and leaves open in what. negatives:
    classes   the texts of the other classes, of the same branch: the default, for they are what responses compare
    batch     the texts of the batch's other samples, as CLIP was trained; among them those of the sample's own class
    branches  the text of the sample's class in the other branch, which is what i and j stand for as printed; it says
              nothing of classes, and nothing at all with one branch
    """
    total = images[0].new_zeros(())
    for i, (image, text) in enumerate(zip(images, texts, strict=True)):
        if negatives == "branches":
            own = [text[labels], *(other[labels] for j, other in enumerate(texts) if j != i)]
            similar = torch.stack([F.cosine_similarity(image, t) for t in own], dim=1)
            target = torch.zeros_like(labels)
        elif negatives == "batch":
            similar, target = cosines(image, text[labels]), torch.arange(len(labels), device=labels.device)
        else:
            similar, target = cosines(image, text), labels
        total = total + F.cross_entropy(similar / temperature, target)
    return total


def consistency(holistic: Tensor, componential: Tensor) -> Tensor:
    """Eq. 6, the mean over samples of half of KL(h, c) + KL(c, h); both are logarithms of responses [B, C].

    The paper writes JS; the formula is the symmetric Kullback-Leibler divergence, and so is this.
    """
    difference = (holistic.exp() - componential.exp()) * (holistic - componential)
    return difference.sum(dim=1).mean() / 2


def focal(log_probabilities: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss (Lin et al. 2017), the mean over samples of -alpha (1 - p)^gamma log p of their own class.

    log_probabilities: [B, C]; labels int64 [B]. alpha is one factor for all classes.
    """
    own = log_probabilities.gather(1, labels[:, None])[:, 0]
    return (-alpha * (1 - own.exp()) ** gamma * own).mean()
