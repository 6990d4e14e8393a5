"""Multi-region discovery: facial queries that find regions of a feature map without labels (Ra-ICL, section 3.3).

After Gao and Patras 2024 and MaskFormer (Cheng et al. 2021). Where their code differs, the paper holds: mask embeddings
are each map's own, not averaged over a batch, one projector serves pixels and regions (eq. 7, 12), and the similarity
has no temperature (eq. 7-8). The last leaves the queries little to learn: any assignment that equals the target's is
as good as another (eq. 9), and in trials (configuration `tiny`, synthetic maps) every region stayed the whole face,
alike to three digits. Temperatures of 0.1 and, for the target, 0.04, as in Gao and Patras' code, made places
choose: configuration `sharp`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def probabilities(embeddings: Tensor, dense: Tensor, temperature: float = 1.0) -> Tensor:
    """Which region each place belongs to (eq. 7-8): [B, N, D] and [B, D, H, W] -> [B, N, H, W], sum 1 over N.

    Cosine similarity over temperature, then softmax. Eq. 8 is printed with a sum up to m alone; over all N it is the
    softmax that the text names.
    """
    similarity = torch.einsum("bnd,bdhw->bnhw", F.normalize(embeddings, dim=2), F.normalize(dense, dim=1))
    return (similarity / temperature).softmax(dim=1)


def alignment(target: Tensor, online: Tensor) -> Tensor:
    """Cross-entropy of two assignments of places to regions, [B, N, H, W] each, averaged over places (eq. 9)."""
    return -(target * online.clamp_min(1e-12).log()).sum(dim=1).mean()


def pool(regions: Tensor, features: Tensor) -> Tensor:
    """Weighted average pooling (eq. 11): regions [B, N, H, W] of features [B, C, H, W] -> [B, N, C]."""
    weights = regions.flatten(2)
    return weights @ features.flatten(2).transpose(1, 2) / weights.sum(dim=2, keepdim=True)


def inconsistency(predicted: Tensor, target: Tensor) -> Tensor:
    """Negative cosine similarity, averaged over regions (eq. 13): [B, N, D] each -> in -1..1.

    The paper adds the similarity itself to what is minimised (eq. 14-15), which would reward embeddings for pointing
    apart. BYOL, which it follows, minimises the negative.
    """
    return -F.cosine_similarity(predicted, target, dim=-1).mean()


def mlp(inner: int, outer: int, hidden: int) -> nn.Sequential:
    """Linear, batch normalisation, ReLU, linear, as in BYOL, on rows [n, inner]."""
    return nn.Sequential(
        nn.Linear(inner, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outer)
    )


def each(module: nn.Module, rows: Tensor) -> Tensor:
    """A module of rows [n, C] on [B, n, C]."""
    return module(rows.flatten(0, 1)).unflatten(0, rows.shape[:2])


class Regions(nn.Module):
    """Features [B, C, H, W] -> probabilities of regions [B, N, H, W] and their embeddings [B, N, D] (eq. 7-8, 11-12).

    Queries are learnable positional embeddings, and features are key and value (section 3.3). The paper names no
    position of the keys: none is added, so that mirrored features give mirrored regions. Without dropout, so that the
    target network is the stable target that the paper wants.
    """

    def __init__(self, channels: int, queries: int, dim: int, layers: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.keys = nn.Linear(channels, dim)
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(dim, nhead=8, dim_feedforward=dim, dropout=0.0, batch_first=True)
            for _ in range(layers)
        )
        self.embed = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.project = mlp(channels, dim, channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        places = features.flatten(2).transpose(1, 2)
        keys = self.keys(places)
        queries = self.queries.expand(len(features), -1, -1)
        for layer in self.decoder:
            queries = layer(queries, keys)
        embeddings = self.embed(queries)
        dense = each(self.project, places).transpose(1, 2).unflatten(2, features.shape[-2:])
        regions = probabilities(embeddings, dense, self.temperature)
        return regions, each(self.project, pool(regions, features))
