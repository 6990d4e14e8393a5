"""The networks of MER-CLIP (paper: Liu et al. 2025, arXiv 2505.05937, sections III-B to III-D): a UniFormerV2 that
gives a clip's embedding and tokens, a transformer head on the tokens, and the text half of a CLIP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.networks import checkpoints
from mepipe.networks.clip_parts import TextEncoder
from mepipe.networks.uniformerv2 import Encoder, Size, inflated

EMBEDDING = 512
# Keys that a UniFormerV2's file has not, and those that CLIP's has not either.
_END = r"proj$|transformer\.norm\.|ln_post1\.|to_cls_decoder\.|ln_final\."
_ADDED = r"transformer\.(temporal_cls_token|balance|dpe|dec|resblocks\.\d+\.lmhra)"


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What of a whole MER-CLIP's checkpoint has that prefix; all, where nothing has it."""
    part = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return part or dict(state)


class MerClipVision(Encoder):
    """Clip [B, 3, 2 T, S, S], normalised -> clip embedding [B, 512], not L2-normalised, and the head's input
    [B, 1 + T * g * g, 512]: the fused feature, then the last block's patches, step by step (eq. 3-4, 8).

    The paper takes mean and standard deviation of ImageNet, frames in RGB.
    """

    def __init__(self, size: Size, embedding: int = EMBEDDING) -> None:
        super().__init__(size)
        self.proj = nn.Parameter(size.width**-0.5 * torch.randn(size.width, embedding))
        self.transformer.norm = nn.LayerNorm(size.width)
        self.ln_post1 = nn.LayerNorm(embedding)
        self.to_cls_decoder = nn.Linear(size.width, embedding, bias=False)
        self.ln_final = nn.LayerNorm(embedding)

    def accepted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This network's part of a whole MER-CLIP's checkpoint."""
        return _part(state, "vision_encoder.")

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        fused, tokens = self.encode(clip)
        fused = self.transformer.norm(fused)
        joined = torch.cat([fused[:, None], tokens[:, :, 1:].flatten(1, 2)], dim=1)
        return self.ln_post1(fused @ self.proj), self.ln_final(self.to_cls_decoder(joined))

    def begin(self, path: Path | str) -> None:
        """Fill in what training begins with: a MER-CLIP's weights, a UniFormerV2's (the paper: Something-Something V2)
        or CLIP's ViT-B/16 as UniFormerV2 itself began, told apart by their keys.

        What such a file cannot have stays as drawn: the norms and projections that end this network, and beside CLIP
        all that UniFormerV2 adds. MepipeError as of `checkpoints.fill` where anything else is missing, or too much.
        """
        state = self.accepted(checkpoints.read(path))
        if "transformer.norm.weight" in state:
            name, fresh = "mer_clip_vision", "(?!)"
        elif any(key.startswith("transformer.dec.") for key in state):
            name, fresh = "UniFormerV2-B/16 with local blocks", _END
            state = {key: value for key, value in state.items() if not key.startswith("transformer.proj.")}
        else:
            name, fresh = "CLIP ViT-B/16", f"{_END}|{_ADDED}"
            state = inflated(state)
        drawn = {key: value for key, value in self.state_dict().items() if re.match(fresh, key)}
        checkpoints.fill(self, {**state, **drawn}, path, name)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _FeedForward(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        # the published file's numbers: it has dropout of probability 0 in between, and GELU is the exact one
        self.net = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Identity(), nn.Linear(4 * width, width), nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _HeadBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads)
        self.norm_ffn = nn.LayerNorm(width, eps=1e-6)
        self.ffn = _FeedForward(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm(x))
        return x + self.ffn(self.norm_ffn(x))


class MerClipHead(nn.Module):
    """Tokens [B, L, width] -> class scores [B, classes] (eq. 11): two transformer blocks and a linear layer.

    As published, and silent in the paper: the linear layer judges the first token after each of the blocks, and the
    scores are the mean. No position is added, so the order of the other tokens is of no account.
    """

    def __init__(self, classes: int, width: int = EMBEDDING, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_HeadBlock(width, heads) for _ in range(blocks))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.drop = nn.Dropout(0.1)
        self.fc_cls = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def accepted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This network's part of a whole MER-CLIP's checkpoint."""
        return _part(state, "cls_head.")

    def firsts(self, tokens: Tensor) -> Tensor:
        """The first token after each block, normed: [B, blocks, width]."""
        found = []
        for block in self.blocks:
            tokens = block(tokens)
            found.append(tokens[:, 0])
        return self.norm(torch.stack(found, dim=1))

    def per_block(self, tokens: Tensor) -> Tensor:
        """The scores after each block: [B, blocks, classes]."""
        return self.fc_cls(self.drop(self.firsts(tokens)))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.per_block(tokens).mean(dim=1)


def mer_clip_vision() -> MerClipVision:
    """For clips of 16 frames at 224 x 224, as published."""
    return MerClipVision(Size())


def mer_clip_head() -> MerClipHead:
    """With the seven classes of DFME and CAS(ME)^3."""
    return MerClipHead(7)


def mer_clip_text() -> TextEncoder:
    """The text half of CLIP ViT-B/16, of which the published MER-CLIP takes ViCLIP's weights."""
    return TextEncoder()
