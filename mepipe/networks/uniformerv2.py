"""UniFormerV2 (paper: Li et al. 2022, arXiv 2211.09552): a CLIP vision transformer whose blocks also see neighbouring
frames, and a token that gathers the whole clip from the last of them.

Tokens are [B, T, L, C] here: time steps, and in each its class token followed by its patches, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mepipe.networks.clip_parts import mlp


@dataclass(frozen=True)
class Size:
    """A UniFormerV2. The defaults are UniFormerV2-B/16 as trained on Something-Something V2.

    side, patch: pixels. extractors: how many of the last blocks the clip token reads. local: channels within the
    local blocks. drop_path: of blocks and extractors, the last; it rises from 0. dropout: in the extractors, and
    before the classifier. The drops are of training alone.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    side: int = 224
    patch: int = 16
    extractors: int = 8
    local: int = 512
    drop_path: tuple[float, float] = (0.2, 0.4)
    dropout: float = 0.5

    @property
    def grid(self) -> int:
        """Patches in a row."""
        return self.side // self.patch


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training, a clip's residual branch [B, ...] is zero with probability p,
    else divided by 1 - p.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * kept / (1 - self.p)


def as_volume(tokens: Tensor) -> Tensor:
    """The patches of tokens [B, T, 1 + g * g, C], without class tokens -> [B, C, T, g, g]."""
    side = round((tokens.shape[2] - 1) ** 0.5)
    return tokens[:, :, 1:].unflatten(2, (side, side)).permute(0, 4, 1, 2, 3)


def add_to_patches(tokens: Tensor, volume: Tensor) -> Tensor:
    """Tokens [B, T, 1 + g * g, C], to whose patches [B, C, T, g, g] is added."""
    patches = tokens[:, :, 1:] + volume.permute(0, 2, 3, 4, 1).flatten(2, 3)
    return torch.cat([tokens[:, :, :1], patches], dim=2)


class Local(nn.Module):
    """The local block ("local MHRA"): what neighbouring steps hold at the same place.

    [B, C, T, g, g] -> the same shape.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.pos_embed = nn.Sequential(
            nn.BatchNorm3d(width),
            nn.Conv3d(width, inner, 1),
            nn.Conv3d(inner, inner, (3, 1, 1), padding=(1, 0, 0), groups=inner),
            nn.Conv3d(inner, width, 1),
        )
        _to_zero(self.pos_embed[3])

    def forward(self, volume: Tensor) -> Tensor:
        return self.pos_embed(volume)


def _to_zero(*modules: nn.Module) -> None:
    """So that what is new to a CLIP transformer changes nothing before it has learned."""
    for module in modules:
        for parameter in module.parameters():
            nn.init.zeros_(parameter)


class LocalBlock(nn.Module):
    """CLIP's block, a local block before each of its halves: [B, T, L, C] -> the same shape."""

    def __init__(self, size: Size, drop_path: float) -> None:
        super().__init__()
        self.lmhra1 = Local(size.width, size.local)
        self.lmhra2 = Local(size.width, size.local)
        self.attn = nn.MultiheadAttention(size.width, size.heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(size.width)
        self.mlp = mlp(size.width)
        self.ln_2 = nn.LayerNorm(size.width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = add_to_patches(x, self.drop_path(self.lmhra1(as_volume(x))))
        within = self.ln_1(x).flatten(0, 1)  # each step by itself
        x = x + self.drop_path(self.attn(within, within, within, need_weights=False)[0].view_as(x))
        x = add_to_patches(x, self.drop_path(self.lmhra2(as_volume(x))))
        return x + self.drop_path(self.mlp(self.ln_2(x)))


class Extractor(nn.Module):
    """The global block: the clip token [B, 1, C] asks all tokens of all steps [B, T * L, C] -> the clip token."""

    def __init__(self, size: Size, drop_path: float) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(size.width, size.heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(size.width)
        self.mlp = mlp(size.width, size.dropout)
        self.ln_2 = nn.LayerNorm(size.width)
        self.ln_3 = nn.LayerNorm(size.width)
        self.drop_path = DropPath(drop_path)
        _to_zero(self.attn.out_proj, self.mlp.get_submodule("c_proj"))

    def forward(self, clip: Tensor, tokens: Tensor) -> Tensor:
        seen = self.ln_3(tokens)
        clip = clip + self.drop_path(self.attn(self.ln_1(clip), seen, seen, need_weights=False)[0])
        return clip + self.drop_path(self.mlp(self.ln_2(clip)))


class Transformer(nn.Module):
    """Tokens [B, T, L, C] -> the fused clip feature [B, C], and the last block's tokens [B, T, L, C]."""

    # What the networks that have one put in here, for the public names' sake: not applied in `forward`.
    proj: nn.Sequential
    norm: nn.LayerNorm

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.temporal_cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.balance = nn.Parameter(torch.zeros(size.width))
        drops = [
            torch.linspace(0, last, count, device="cpu").tolist()
            for last, count in zip(size.drop_path, (size.layers, size.extractors), strict=True)
        ]
        self.resblocks = nn.ModuleList(LocalBlock(size, drop) for drop in drops[0])
        self.dpe = nn.ModuleList(
            nn.Conv3d(size.width, size.width, 3, padding=1, groups=size.width) for _ in range(size.extractors)
        )
        self.dec = nn.ModuleList(Extractor(size, drop) for drop in drops[1])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        clip = self.temporal_cls_token.expand(len(x), -1, -1)
        local = len(self.resblocks) - len(self.dec)  # the blocks that no extractor reads
        for i, block in enumerate(self.resblocks):
            x = block(x)
            if i >= local:  # on a copy: nothing of it flows back to the blocks
                placed = add_to_patches(x, self.dpe[i - local](as_volume(x)))
                clip = self.dec[i - local](clip, placed.flatten(1, 2))
        weight = torch.sigmoid(self.balance)
        return (1 - weight) * clip[:, 0] + weight * x[:, :, 0].mean(dim=1), x


class Encoder(nn.Module):
    """What UniFormerV2 and MER-CLIP have in common: all up to the fused clip feature. Two frames are one step."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        scale = size.width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(size.width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(size.grid**2 + 1, size.width))
        kernel, stride = (3, size.patch, size.patch), (2, size.patch, size.patch)
        self.conv1 = nn.Conv3d(3, size.width, kernel, stride, padding=(1, 0, 0), bias=False)
        self.ln_pre = nn.LayerNorm(size.width)
        self.transformer = Transformer(size)

    def tokens(self, clip: Tensor) -> Tensor:
        """What the first block takes: [B, T, 1 + g * g, C]."""
        patches = self.conv1(clip).flatten(3).permute(0, 2, 3, 1)
        classes = self.class_embedding.expand(*patches.shape[:2], 1, -1)
        return self.ln_pre(torch.cat([classes, patches], dim=2) + self.positional_embedding)

    def encode(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Clip [B, 3, 2 T, S, S] -> fused feature [B, C], and the last block's tokens [B, T, 1 + g * g, C]."""
        fused, tokens = self.transformer(self.tokens(clip))
        return fused, tokens


class UniFormerV2(Encoder):
    """Clip [B, 3, 16, S, S], normalised -> logits [B, classes].

    Something-Something V2's loader took (x / 255 - 0.45) / 0.225 of frames with channels in the order BGR.
    """

    def __init__(self, classes: int, size: Size) -> None:
        super().__init__(size)
        layers = (nn.LayerNorm(size.width), nn.Dropout(size.dropout), nn.Linear(size.width, classes))
        self.transformer.proj = nn.Sequential(*layers)

    def forward(self, clip: Tensor) -> Tensor:
        return self.transformer.proj(self.encode(clip)[0])


def uniformerv2_b16_ssv2_16x224() -> UniFormerV2:
    """UniFormerV2-B/16 with the 174 classes of Something-Something V2, for 16 frames (its 32-frame twin fits too)."""
    return UniFormerV2(174, Size())


def inflated(state: Mapping[str, Tensor], taps: int = 3) -> dict[str, Tensor]:
    """CLIP's image half as UniFormerV2 begins with it: a frame's kernel becomes the middle tap of one over time.

    state: of a CLIP checkpoint, with the prefix `visual.`, or of that half alone. What UniFormerV2 has not (`ln_post`,
    `proj`, the text half) is left out.
    """
    visual = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")} or state
    kept = {key: value for key, value in visual.items() if key != "proj" and not key.startswith("ln_post.")}
    flat = kept["conv1.weight"]
    if flat.ndim == 4:
        spread = flat.new_zeros(*flat.shape[:2], taps, *flat.shape[2:])
        spread[:, :, taps // 2] = flat
        kept["conv1.weight"] = spread
    return kept
