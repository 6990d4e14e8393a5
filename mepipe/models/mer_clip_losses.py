"""The losses of MER-CLIP (paper: Liu et al. 2025, arXiv 2505.05937), but for the focal loss (eq. 13), which is that of
`hcp_mer_losses` with a factor of 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive(clips: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
    """Eq. 9-10, as CLIP has it: the mean of cross-entropies from clip to text and from text to clip.

    clips, texts: [B, D], not normalised; row i of both belong together. scale: 1 / temperature. All other rows are
    negatives, also those with the same text, as in the official code. A batch of one gives 0.
    """
    logits = scale * F.normalize(clips, dim=-1) @ F.normalize(texts, dim=-1).T
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def alignment_weight(first: float, progress: float) -> float:
    """Eq. 15: the weight of the contrastive loss, from `first` linearly towards 1; the focal loss has 2 less that.

    progress: e / E of epoch e, from 0, of E; so 1 is never quite reached. With `first` 2, training begins with the
    contrastive loss alone.
    """
    return first - (first - 1) * progress
