"""The large models that the trainers adapt, and where their weights lie.

Weights are files that a person put there: nothing is downloaded. A checkpoint is a state dict (.safetensors, or .pth
read with `weights_only=True`), so nothing in it is executed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import timm
import torch
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer

from mepipe.errors import MepipeError, UsageError

RANDOM = "random"
SUFFIXES = (".safetensors", ".pth", ".bin")


RGB = tuple[float, float, float]
HALF: RGB = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Backbone:
    """What a backbone's name stands for.

    size: of its images, pixels. checkpoint: the name of its published weights, a repository of huggingface.co/timm.
    architecture: timm's name for the network that they fit. mean, std: of the pixels that it was trained on, 0..1.
    """

    name: str
    size: int
    checkpoint: str | None
    architecture: str | None
    mean: RGB = HALF
    std: RGB = HALF


def _augreg(name: str, patch: int) -> Backbone:
    published = f"vit_base_patch{patch}_224.augreg_in21k"
    return Backbone(name, 224, published, published)


def _clip(name: str, patch: int) -> Backbone:
    # the same file fits a network with the exact GELU, which is not what OpenAI trained
    architecture = f"vit_base_patch{patch}_clip_quickgelu_224.openai"
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    return Backbone(name, 224, f"vit_base_patch{patch}_clip_224.openai", architecture, mean, std)


BACKBONES = {
    "vit-b16": _augreg("vit-b16", 16),
    "vit-b32": _augreg("vit-b32", 32),
    "clip-b16": _clip("clip-b16", 16),
    "clip-b32": _clip("clip-b32", 32),
    # for tests and the demo: learns in seconds on a CPU, and has no pretrained weights
    "tiny": Backbone("tiny", 112, None, None),
}


def backbone(name: str) -> Backbone:
    """The backbone of that name; UsageError lists the names there are."""
    if name not in BACKBONES:
        msg = f"No backbone {name!r}. There are: {', '.join(BACKBONES)}."
        raise UsageError(msg)
    return BACKBONES[name]


def weights_file(name: str, where: Path) -> Path:
    """The checkpoint file of a backbone: `where` is the file, or a folder that holds it under its timm name.

    MepipeError says which file is lacking, where to get it, and where to put it.
    """
    chosen = backbone(name)
    if chosen.checkpoint is None:
        msg = f"Backbone {name!r} has no pretrained weights. Ask for random ones by name: --weights {RANDOM}."
        raise UsageError(msg)
    root = where.expanduser()
    if root.is_file():
        return root
    for suffix in SUFFIXES:
        if (root / f"{chosen.checkpoint}{suffix}").is_file():
            return root / f"{chosen.checkpoint}{suffix}"
    msg = (
        f"No weights for backbone {name!r}: neither {chosen.checkpoint}.safetensors nor .pth in {root.absolute()}.\n"
        f"Download model.safetensors of https://huggingface.co/timm/{chosen.checkpoint}, put it there under that "
        f"name, or name its folder or file in MEPIPE_WEIGHTS or --weights. "
        f"--weights {RANDOM} trains without pretraining, which is not what the paper does."
    )
    raise MepipeError(msg)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _empty(name: str) -> VisionTransformer:
    """The architecture with freshly drawn weights, without a classification head."""
    chosen = backbone(name)
    if chosen.architecture is not None:
        return cast(VisionTransformer, timm.create_model(chosen.architecture, pretrained=False, num_classes=0))
    return VisionTransformer(img_size=chosen.size, patch_size=16, embed_dim=64, depth=2, num_heads=4, num_classes=0)


def build(name: str, weights: Path | None, seed: int = 0) -> VisionTransformer:
    """A timm VisionTransformer without head: images [B, 3, S, S] -> class token [B, width], eval mode.

    Images are 0..1, less the backbone's mean, over its std. `weights` is a checkpoint file; None draws them at random
    from `seed`, leaving torch's own generator as it was.
    MepipeError when the file is not a checkpoint of this backbone.
    """
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _empty(name).eval()
    model = _empty(name)
    try:
        state = (
            load_file(weights) if weights.suffix == ".safetensors" else torch.load(weights, "cpu", weights_only=True)
        )
        # its head (21,843 classes, or CLIP's space) is not ours; strict, since timm's own loading lets any file pass
        model.load_state_dict({key: value for key, value in state.items() if not key.startswith("head.")})
    except Exception as error:  # torch, pickle and safetensors each raise what they like on a bad file
        checkpoint, why = backbone(name).checkpoint, " ".join(str(error).split())[:200]
        msg = (
            f"{weights} is no checkpoint of {checkpoint} ({type(error).__name__}: {why}). "
            f"Expected the file of https://huggingface.co/timm/{checkpoint}; download it again."
        )
        raise MepipeError(msg) from error
    return model.eval()
