"""CLIP's image half alone (paper: Radford et al. 2021, arXiv 2103.00020, section 2.4), which can be cut in two: what is
frozen, run once per sample, and what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.networks import checkpoints
from mepipe.networks.clip_parts import Transformer

# Of the images that CLIP takes, RGB in 0..1, and which it was trained on after a bicubic resize of the short side.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Size:
    """An image half: pixels of an image and of a patch, width of tokens, layers, heads, length of embeddings."""

    image: int
    patch: int
    width: int
    layers: int
    heads: int
    embedding: int

    @property
    def tokens(self) -> int:
        """The class token and those of patches."""
        return 1 + (self.image // self.patch) ** 2


SIZES = {
    "clip-vit-b32": Size(224, 32, 768, 12, 12, 512),
    "clip-vit-b16": Size(224, 16, 768, 12, 12, 512),
    # for tests and the demo, by name only: it has no weights but random ones
    "tiny": Size(64, 16, 64, 2, 4, 64),
}


class ImageEncoder(nn.Module):
    """Images float32 [B, 3, S, S], as `prepare` makes them -> features [B, embedding], not normalised.

    Tokens are [B, 1 + patches, width]: the class token, then patches by rows.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        scale = size.width**-0.5
        self.conv1 = nn.Conv2d(3, size.width, size.patch, stride=size.patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(size.width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(size.tokens, size.width))
        self.ln_pre = nn.LayerNorm(size.width)
        self.transformer = Transformer(size.width, size.layers, size.heads, causal=False)
        self.ln_post = nn.LayerNorm(size.width)
        self.proj = nn.Parameter(scale * torch.randn(size.width, size.embedding))

    def accepted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image half of a checkpoint of CLIP."""
        prefix = "visual."
        return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    def tokens(self, images: Tensor, blocks: int) -> Tensor:
        """Tokens after the first `blocks` layers; after none, as they enter the first."""
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), 1, -1)
        x = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        for block in self.transformer.resblocks[:blocks]:
            x = block(x)
        return x

    def projected(self, tokens: Tensor) -> Tensor:
        """Tokens after the last layer, each in the space of embeddings: [B, L, embedding].

        CLIP uses the class token's alone; those of patches lie in the same space.
        """
        return self.ln_post(tokens) @ self.proj

    def forward(self, images: Tensor) -> Tensor:
        return self.projected(self.tokens(images, len(self.transformer.resblocks))[:, :1])[:, 0]


def image_encoder(name: str, path: Path | None, seed: int = 0) -> ImageEncoder:
    """The image half of that name (of `SIZES`), in eval mode: from OpenAI's file; random, drawn from a seed, where
    there is no file.

    MepipeError where the file is no checkpoint of CLIP.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = ImageEncoder(SIZES[name])
    if path is not None:
        checkpoints.fill(made, made.accepted(checkpoints.read(path)), path, name)
    return made.eval()


def prepare(image: Tensor, size: int) -> Tensor:
    """An image as CLIP takes it: [H, W, 3] RGB in 0..1 -> [1, 3, size, size], less its mean, over its deviation.

    The short side is resized to `size` (bicubic, antialiased, as CLIP's own), the middle of the long one kept.
    """
    height, width = image.shape[:2]
    short = min(height, width)
    sides = [round(side * size / short) for side in (height, width)]
    x = image.permute(2, 0, 1)[None]
    if sides != [height, width]:
        x = F.interpolate(x, sides, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    top, left = ((side - size) // 2 for side in sides)
    x = x[..., top : top + size, left : left + size]
    mean, std = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (MEAN, STD))
    return (x - mean) / std
