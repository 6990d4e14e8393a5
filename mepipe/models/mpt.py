"""MPT: motion prompt tuning of a frozen vision transformer (paper: "MPT: Motion Prompt Tuning for Micro-Expression
Recognition", equations 2-3 and 8-17).

A rank-pooled image gives class and visual tokens, the magnified frames give motion prompts, and adapters after each
feed-forward learn what the frozen transformer lacks. The paper's sizes are known only through its tables: 5.5 M
tunable parameters, 3.5 M without prompts, 2.0 M with one shared adapter, 0.2 M prompts alone, 18.7 GFLOPs. All five
hold, rounded, with bias-free adapters and a prompt generator of a 3x3 convolution with 16 channels pooled to 4 x 4.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mepipe.errors import MepipeError
from mepipe.models import attending, backbones
from mepipe.models.configs.mpt import MPTConfig
from mepipe.models.declare import Feature, Model
from mepipe.models.learner import Learner, Schedule
from mepipe.models.mpt_adapters import GroupAdapter, SharedAdapter
from mepipe.models.mpt_inputs import dynamic_image, motion_sequence
from mepipe.models.mpt_prompts import LearnedPrompts, MotionPrompts


class MPT(Learner):
    """Image [B, 3, S, S] and, for motion prompts, motion [B, T, 3, S', S'] -> logits [B, classes].

    Takes the backbone over: freezes it (unless `freeze=False`) and puts adapters behind its feed-forwards, inside
    the residual branch. Tokens stand in the order class, visual, prompts (eq. 3; prompts get no position).
    """

    def __init__(self, backbone: VisionTransformer, classes: int, config: MPTConfig) -> None:
        super().__init__()
        self.config, self.backbone = config, backbone.requires_grad_(not config.freeze)
        width, patches = backbone.embed_dim, backbone.patch_embed
        for block in backbone.blocks if config.adapter != "none" else ():
            adapter = (
                GroupAdapter(width, config.reduction, patches.num_patches, config.prompts)
                if config.adapter == "group"
                else SharedAdapter(width, config.reduction)
            )
            block.mlp = nn.Sequential(cast(nn.Module, block.mlp), adapter)
        self.prompts: MotionPrompts | None = None
        self.vectors: LearnedPrompts | None = None
        if config.prompts and config.prompt == "motion":
            self.prompts = MotionPrompts(config.prompts, config.frames, width, config.channels, config.grid)
        elif config.prompts:
            layers = len(backbone.blocks) if config.prompt == "vpt-deep" else 1
            self.vectors = LearnedPrompts(config.prompts, layers, width, patches.patch_size[0])
        self.head = nn.Linear(width, classes)

    def tokens(self, image: Tensor, motion: Tensor | None = None) -> Tensor:
        """Tokens as they enter the last block [B, L, width]."""
        vit = self.backbone
        tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(image)))
        if self.prompts is not None:
            tokens = torch.cat([tokens, self.prompts(motion)], dim=1)
        for layer, block in enumerate(vit.blocks):
            if self.vectors is not None:
                tokens = self.vectors(tokens, layer)
            if layer < len(vit.blocks) - 1:
                tokens = block(tokens)
        return tokens

    def represent(self, *inputs: Tensor) -> Tensor:
        vit = self.backbone
        return vit.norm(vit.blocks[-1](self.tokens(*inputs)))[:, 0]

    def forward(self, image: Tensor, motion: Tensor | None = None) -> Tensor:
        return self.head(self.represent(image, *(() if motion is None else (motion,))))

    def seen(self, *inputs: Tensor) -> Tensor:
        chosen = backbones.backbone(self.config.backbone)
        mean, std = (inputs[0].new_tensor(values).view(3, 1, 1) for values in (chosen.mean, chosen.std))
        return (inputs[0] * std + mean).clamp(0, 1)

    def attention(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Of the class token, in the last block, to patches; prompts take the rest."""
        places = self.backbone.patch_embed.num_patches
        weights = attending.of_timm(self.backbone.blocks[-1], self.tokens(*inputs))
        return {"class token": attending.square(weights[:, 0, 1 : 1 + places])}

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """What enters the last block's attention: behind it patches reach nothing, the class token is judged alone."""
        places = self.backbone.patch_embed.num_patches
        return cast(nn.Module, self.backbone.blocks[-1].norm1), lambda out: attending.maps(out[:, 1 : 1 + places])


def tunable(model: nn.Module) -> int:
    """How many parameters training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def features(config: MPTConfig) -> tuple[str, ...]:
    """The dynamic image and, for motion prompts, frames magnified by alpha: of recipe mpt, or mpt-alpha."""
    if not (config.prompts and config.prompt == "motion"):
        return ("rank-pool",)
    return "rank-pool", "magnify.frames" if config.alpha == 20 else f"magnify-{config.alpha}.frames"


def inputs(config: MPTConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor, ...]:
    """float16 [N, 3, S, S] and, for motion prompts, [N, T, 3, S', S']: made once, in the order of `features`."""
    backbone = backbones.backbone(config.backbone)
    images, *clips = read.values()
    made = [torch.stack([dynamic_image(images[s], backbone.size, backbone.mean, backbone.std) for s in samples])]
    for frames in clips:
        made.append(torch.stack([_motion(frames, s, config) for s in samples]))
    return tuple(made)


def _motion(read: Feature, sample: str, config: MPTConfig) -> Tensor:
    frames = read[sample]
    if len(frames) != config.frames:
        msg = f"{sample} has {len(frames)} magnified frames, not {config.frames}. Say --frames {len(frames)}."
        raise MepipeError(msg)
    return motion_sequence(frames, config.motion_size)


def build(config: MPTConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], MPT]:
    """What makes the network of a fold: the backbone, read or drawn once, and every fold adapts a copy of it."""
    trunk = backbones.build(config.backbone, files.get(config.backbone), seed)
    return lambda: MPT(copy.deepcopy(trunk), len(classes), config)


def schedule(config: MPTConfig) -> Schedule:
    """Adam at one rate (section IV-A)."""
    return Schedule(config.epochs, config.batch, config.lr)


MODEL = Model(
    name="mpt",
    recipe=lambda config: "mpt" if config.alpha == 20 else "mpt-alpha",
    features=features,
    inputs=inputs,
    build=build,
    schedule=schedule,
    weights=lambda config: (config.backbone,) if config.pretrained else (),
)
