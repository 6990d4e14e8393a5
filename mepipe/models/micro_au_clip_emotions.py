"""Emotions without emotion labels (paper: "Micro-AU CLIP: Fine-Grained Contrastive Learning from Local Independence to
Global Dependency for Micro-Expression Action Unit Detection", eq. 13): by how near units' features are to their texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mepipe.models import prompts

CATEGORIES = ("negative", "positive", "surprise")


def nearness(features: Tensor, texts: Tensor, units: Sequence[int]) -> Tensor:
    """Eq. 13: for each of `CATEGORIES`, the greatest sum of cosines over its combinations of units, [B, 3].

    features: of units [B, A, D]; texts: of each unit not active and active [A, 2, D]. A label text says of every unit
    whether a combination of `prompts.emotion_units` has it. A category without combinations of these units is at -inf.
    """
    cosines = F.cosine_similarity(features[:, :, None], texts[None], dim=-1)  # [B, A, 2]
    table = prompts.emotion_units(units)
    found = cosines.new_full((len(features), len(CATEGORIES)), -torch.inf)
    for column, category in enumerate(CATEGORIES):
        for active in table[category]:
            said = torch.tensor([int(unit in active) for unit in units], device=cosines.device)
            total = cosines[:, torch.arange(len(units), device=cosines.device), said].sum(dim=1)
            found[:, column] = torch.maximum(found[:, column], total)
    return found
