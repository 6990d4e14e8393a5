"""What CLIP's transformers are made of, under CLIP's names, and its text half (paper: Radford et al. 2021,
arXiv 2103.00020, section 2.4).

Tokens are [B, L, width] here; the public code has [L, B, width].
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT, VOCABULARY = 77, 49408


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), with which CLIP was trained. With the exact GELU its features are wrong."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def mlp(width: int, dropout: float = 0.0) -> nn.Sequential:
    """A block's feed-forward, four times as wide inside; dropout follows the activation."""
    layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", QuickGELU()), ("drop", nn.Dropout(dropout))]
    return nn.Sequential(OrderedDict([*layers, ("c_proj", nn.Linear(4 * width, width))]))


class Block(nn.Module):
    """A pre-norm transformer block: [B, L, width] -> the same shape. With `causal`, no token sees a later one."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = mlp(width)
        self.ln_2 = nn.LayerNorm(width)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        mask = None
        if self.causal:
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask, is_causal=self.causal)[0]
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Blocks, one after another."""

    def __init__(self, width: int, layers: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width, heads, causal) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks(x)


class TextEncoder(nn.Module):
    """CLIP's text half: token ids int [B, L], L at most 77 -> features [B, embedding], not normalised.

    The feature is that of the end-of-text token, which has the highest id. Since no token sees a later one, what
    follows it changes nothing, and sequences may be cut to the longest of a batch.

    positions: how many tokens have a position of their own; the rest of `positional_embedding` is zero. Fewer than 77
    where a file holds fewer, as ViCLIP's does (32): tokens from there on are told apart by what they are alone.
    """

    def __init__(
        self, width: int = 512, layers: int = 12, heads: int = 8, embedding: int = 512, vocabulary: int = VOCABULARY
    ) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(CONTEXT, width))
        self.text_projection = nn.Parameter(width**-0.5 * torch.randn(width, embedding))
        self.transformer = Transformer(width, layers, heads, causal=True)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.ln_final = nn.LayerNorm(width)
        self.positions = CONTEXT

    def accepted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The text half of a checkpoint of CLIP, ViCLIP or MER-CLIP, its table of positions filled up with zeros."""
        prefix = "text_encoder."
        part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if not part:  # the text half alone, or CLIP's, whose image half has a prefix of its own
            part = {k: value for k, value in state.items() if not k.startswith("visual.") and k != "logit_scale"}
        table = part.get("positional_embedding")
        if table is not None and table.ndim == 2 and len(table) < CONTEXT:
            self.positions = len(table)
            part["positional_embedding"] = F.pad(table, (0, 0, 0, CONTEXT - len(table)))
        return part

    def forward(self, ids: Tensor) -> Tensor:
        return self.encode(self.token_embedding(ids), ids.argmax(dim=-1))

    def encode(self, embedded: Tensor, end: Tensor) -> Tensor:
        """Token embeddings [B, L, width], and where each sequence ends, int [B] -> features [B, embedding]."""
        x = self.transformer(embedded + self.positional_embedding[: embedded.shape[1]])
        return self.ln_final(x[torch.arange(len(x), device=x.device), end]) @ self.text_projection
