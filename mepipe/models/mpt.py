"""MPT: motion prompt tuning of a frozen vision transformer (paper: "MPT: Motion Prompt Tuning for Micro-Expression
Recognition", equations 2-3 and 8-17).

A rank-pooled image gives class and visual tokens, the magnified frames give motion prompts, and adapters after each
feed-forward learn what the frozen transformer lacks. The paper's sizes are known only through its tables: 5.5 M
tunable parameters, 3.5 M without prompts, 2.0 M with one shared adapter, 0.2 M prompts alone, 18.7 GFLOPs. All five
hold, rounded, with bias-free adapters and a prompt generator of a 3x3 convolution with 16 channels pooled to 4 x 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn


@dataclass(frozen=True)
class MPTConfig:
    """One configuration of MPT. The defaults are the paper's where it says (section IV-A), see `epochs`.

    The magnification factor is no part of it: that is the recipe's. `freeze=False` trains the backbone too: table VI,
    with and without pretraining.
    """

    prompts: int = 5
    adapter: Literal["group", "shared", "none"] = "group"
    reduction: int = 8
    channels: int = 16
    grid: int = 4
    motion_size: int = 224
    freeze: bool = True
    lr: float = 3e-4
    batch: int = 16
    epochs: int = 50  # the paper does not say


# What the model reads: nodes of the recipe `mpt`.
FEATURES = ("rank-pool", "magnify.frames")

# What each backbone begins with. `tiny` is random and stays frozen too: its prompts and adapters learn alone.
CONFIGURATIONS = {
    "vit-b16": MPTConfig(),
    "tiny": MPTConfig(motion_size=28, lr=3e-3, epochs=12),
}


def dynamic_image(image: np.ndarray, size: int) -> Tensor:
    """A rank-pooled image as the transformer takes it: [y, x, 3] -> float16 [3, S, S] in -1..1.

    uint8 is taken as 0..255, float as 0..1. Mean and standard deviation 0.5 are those of the augreg checkpoints.
    """
    scaled = torch.from_numpy(np.ascontiguousarray(image)).float()
    if image.dtype == np.uint8:
        scaled = scaled / 255
    return _resize(scaled.permute(2, 0, 1)[None] * 2 - 1, size)[0].half()


def motion_sequence(frames: np.ndarray, size: int) -> Tensor:
    """Magnified frames as the prompt generator takes them: [T, y, x, 3] -> float16 [T, 3, S, S].

    What is left of each frame after the first (the onset), its brightness scaled and shifted to fit by least squares,
    is taken away; divided by the root mean square over the clip. The paper magnifies "and extracts" motion: this is
    a frame without the face's appearance and without the drift of the light, which magnification magnifies too (on
    the demo database it leaves the offset frame as far from the onset as the apex). The division makes clips of
    different contrast alike. A still clip gives zeros.
    """
    pixels = _resize(torch.from_numpy(np.ascontiguousarray(frames)).float().permute(0, 3, 1, 2), size)
    flat = pixels.flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    power = centred[0] @ centred[0]
    gain = centred @ centred[0] / power if power > 0 else torch.zeros(len(flat))
    moved = centred - gain[:, None] * centred[0]
    scale = moved.square().mean().sqrt()
    # what float32 leaves of a still clip is no motion
    return (moved / scale if scale > 1e-5 else torch.zeros_like(moved)).view_as(pixels).half()


def _resize(images: Tensor, size: int) -> Tensor:
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def gaussian_weights(mean: Tensor, variance: Tensor, frames: int) -> Tensor:
    """Weights over frames 0..T-1 of Gaussian kernels (eq. 11), normalised to sum 1.

    mean, variance: [B, n], in frames and frames squared -> [B, n, T]: exp(-(t - mean)^2 / (2 variance)) over its sum.
    """
    t = torch.arange(frames, device=mean.device, dtype=mean.dtype)
    # softmax of the exponent is that quotient, and cannot divide zero by zero when every frame is far from the mean
    return torch.softmax(-((t - mean[..., None]) ** 2) / (2 * variance[..., None]), dim=-1)


class MotionPrompts(nn.Module):
    """Temporal Gaussian tokenisation (eq. 8-12): motion [B, T, 3, H, W] -> prompts [B, n, width].

    Eq. 8: convolution, GELU and average pooling to grid x grid cells embed each frame as Z [T, channels * grid^2]. The
    activation is ours: without one, pooling averages a moved edge, bright on one side and dark on the other, away.
    Eq. 9-10: two linear layers read the time course (each channel's mean over the frame, all frames) and give each
    kernel's mean, anywhere between first and last frame, and variance. They start at zero weight, with means spread
    evenly over the clip, so that the prompts differ from the start. Eq. 11-12: one linear layer makes a prompt
    of each kernel's weighted sum of Z.
    """

    def __init__(self, prompts: int, frames: int, width: int, channels: int, grid: int) -> None:
        super().__init__()
        self.grid, self.frames = grid, frames
        self.conv = nn.Conv2d(3, channels, kernel_size=3, padding=1)
        self.mean = nn.Linear(frames * channels, prompts)
        self.variance = nn.Linear(frames * channels, prompts)
        self.project = nn.Linear(channels * grid * grid, width)
        with torch.no_grad():
            centres = (torch.arange(prompts) + 0.5) / prompts
            self.mean.weight.zero_()
            self.mean.bias.copy_(torch.logit(centres))
            self.variance.weight.zero_()
            # a kernel's half width is half the distance to its neighbour
            spread = torch.tensor(((frames - 1) / (2 * prompts)) ** 2)
            self.variance.bias.copy_(torch.log(torch.expm1(spread)))

    def kernels(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, T, C, g, g] -> mean and variance [B, n], in frames and frames squared."""
        course = features.mean(dim=(3, 4)).flatten(1)
        mean = torch.sigmoid(self.mean(course)) * (self.frames - 1)
        return mean, F.softplus(self.variance(course)) + 1e-3  # never a kernel of no width

    def forward(self, motion: Tensor) -> Tensor:
        batch, frames = motion.shape[:2]
        embedded = F.gelu(self.conv(motion.flatten(0, 1)))
        # average pooling as a mean: the same value, a third faster on a CPU, and deterministic on CUDA
        cells = embedded.unflatten(3, (self.grid, -1)).unflatten(2, (self.grid, -1))
        features = cells.mean(dim=(3, 5)).unflatten(0, (batch, frames))
        weights = gaussian_weights(*self.kernels(features), frames)
        return self.project(weights @ features.flatten(2))


class Bottleneck(nn.Module):
    """Down, GELU, up (width -> width / reduction -> width), without biases; the up-projection starts at zero."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, width // reduction, bias=False)
        self.up = nn.Linear(width // reduction, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(F.gelu(self.down(x)))


class SharedAdapter(nn.Module):
    """The primitive adapter (Houlsby et al. 2019): x + bottleneck(x), the same for every token of [B, L, width]."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.all = Bottleneck(width, reduction)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.all(x)


class GroupAdapter(nn.Module):
    """Group adapter (eq. 14-16): tokens [B, 1 + visual + motion, width] -> the same shape, a branch for each group.

    The formulas are lost in the extracted text, which says that each branch is a bottleneck, that the averages of the
    class, visual and motion tokens enter, and that this makes for cross-modal learning. So each token, x, becomes
    x + branch(x + the averages of the other two groups): the residual carries the token alone, and the averages tell
    the branch what the other groups hold. One bottleneck per token and eq. 8's convolution add up to the paper's
    18.7 GFLOPs. Without prompts there is no motion group, and no branch for it.
    """

    def __init__(self, width: int, reduction: int, visual: int, prompts: int) -> None:
        super().__init__()
        self.sizes = [1, visual, prompts] if prompts else [1, visual]
        names = ("cls", "visual", "motion")[: len(self.sizes)]
        self.branches = nn.ModuleDict({name: Bottleneck(width, reduction) for name in names})

    def forward(self, x: Tensor) -> Tensor:
        groups = x.split(self.sizes, dim=1)
        averages = torch.stack([group.mean(dim=1, keepdim=True) for group in groups])
        total = averages.sum(dim=0)
        adapted = [
            group + branch(group + total - own)
            for group, own, branch in zip(groups, averages, self.branches.values(), strict=True)
        ]
        return torch.cat(adapted, dim=1)


class MPT(nn.Module):
    """Image [B, 3, S, S] in -1..1 and motion [B, 16, 3, S, S] -> logits [B, classes].

    Takes the backbone over: freezes it (unless `freeze=False`) and puts adapters behind its feed-forwards, inside
    the residual branch. Tokens stand in the order class, visual, motion (eq. 3; prompts get no position).
    """

    def __init__(self, backbone: VisionTransformer, classes: int, config: MPTConfig, frames: int = 16) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(not config.freeze)
        width, visual = backbone.embed_dim, backbone.patch_embed.num_patches
        for block in backbone.blocks if config.adapter != "none" else ():
            adapter = (
                GroupAdapter(width, config.reduction, visual, config.prompts)
                if config.adapter == "group"
                else SharedAdapter(width, config.reduction)
            )
            block.mlp = nn.Sequential(cast(nn.Module, block.mlp), adapter)
        self.prompts = (
            MotionPrompts(config.prompts, frames, width, config.channels, config.grid) if config.prompts else None
        )
        self.head = nn.Linear(width, classes)

    def forward(self, image: Tensor, motion: Tensor) -> Tensor:
        vit = self.backbone
        tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(image)))
        if self.prompts is not None:
            tokens = torch.cat([tokens, self.prompts(motion)], dim=1)
        return self.head(vit.norm(vit.blocks(tokens))[:, 0])


def tunable(model: nn.Module) -> int:
    """How many parameters training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def inputs(
    images: Iterable[np.ndarray], clips: Iterable[np.ndarray], size: int, motion_size: int
) -> tuple[Tensor, Tensor]:
    """Both inputs of all samples, in order, made once: float16 [N, 3, S, S] and [N, T, 3, S, S], of these two sizes."""
    return (
        torch.stack([dynamic_image(image, size) for image in images]),
        torch.stack([motion_sequence(frames, motion_size) for frames in clips]),
    )
