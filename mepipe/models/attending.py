"""How a transformer's block shares out its attention: its softmax, which its forward pass does not give."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def of_clip(block: Any, tokens: Tensor) -> Tensor:
    """Of a block of CLIP (`networks.clip_parts.Block`), for tokens [B, L, width]: [B, L, L], the mean over heads.

    Row i is what token i attends to, and sums to 1.
    """
    normed = block.ln_1(tokens)
    weights: Tensor = block.attn(normed, normed, normed, need_weights=True)[1]
    return weights


def of_timm(block: Any, tokens: Tensor) -> Tensor:
    """The same of a block of timm's VisionTransformer."""
    attn = block.attn
    return _shares(attn.qkv(block.norm1(tokens)), attn.num_heads)


def of_head(block: Any, tokens: Tensor) -> Tensor:
    """The same of a block of MER-CLIP's head (`networks.mer_clip.MerClipHead`)."""
    return _shares(block.attn.to_qkv(block.norm(tokens)), block.attn.heads)


def _shares(projected: Tensor, heads: int) -> Tensor:
    """Queries, keys and values side by side [B, L, 3 width] -> attention [B, L, L], the mean over heads."""
    query, key, _ = projected.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1)


def square(places: Tensor) -> Tensor:
    """Places [..., h * w] of a square, by rows -> [..., h, w]."""
    side = round(places.shape[-1] ** 0.5)
    return places.unflatten(-1, (side, side))


def maps(tokens: Tensor) -> Tensor:
    """Tokens of patches [..., h * w, C] -> [..., C, h, w], as Grad-CAM weighs them."""
    return square(tokens.transpose(-1, -2))
