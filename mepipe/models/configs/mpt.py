"""Motion Prompt Tuning (paper: "MPT: Motion Prompt Tuning for Micro-Expression Recognition"): its parameters, and the
rows of its tables by name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mepipe.models.configs import Config


class MPTConfig(Config):
    """One configuration of MPT; the defaults are the paper's (section IV-A), which does not say how many epochs."""

    lr: float = Field(3e-4, gt=0, description="Learning rate of Adam.")
    backbone: Literal["vit-b16", "vit-b32", "clip-b16", "clip-b32", "tiny"] = Field(
        "vit-b16", description="The large model: ViT of ImageNet-21k, CLIP's image encoder, or tiny, for trying out."
    )
    pretrained: bool = Field(True, description="Begin with its published weights; else with random ones.")
    freeze: bool = Field(True, description="Leave its weights as they are; else train them too.")
    prompt: Literal["motion", "vpt-shallow", "vpt-deep"] = Field(
        "motion", description="What prompts are made of: the magnified frames, or learned vectors, as in VPT."
    )
    prompts: int = Field(5, ge=0, le=200, description="Number of prompts; 0: none.")
    adapter: Literal["group", "shared", "none"] = Field(
        "group", description="Adapters after each feed-forward: one for each group of tokens, one for all, or none."
    )
    reduction: int = Field(8, ge=1, le=64, description="How many times narrower adapters are than tokens (r).")
    alpha: int = Field(
        20, ge=0, description="Magnification of the frames that it reads; 0, 10, 30, 50 are in recipe mpt-alpha."
    )
    frames: int = Field(16, ge=2, description="Frames of a magnified clip.")
    motion_size: int = Field(224, ge=4, le=1024, description="Width and height of magnified frames, pixels.")
    channels: int = Field(16, ge=1, description="Channels of the convolution over them (eq. 8).")
    grid: int = Field(4, ge=1, description="Rows and columns of cells that it is averaged over (eq. 8).")

    @field_validator("grid")
    @classmethod
    def _whole_cells(cls, value: int, info: ValidationInfo) -> int:
        size = info.data.get("motion_size", 0)
        if size % value:
            about = {"size": size, "grid": value}
            raise PydanticCustomError("grid", "Frames of {size} pixels have no {grid} x {grid} equal cells", about)
        return value


# The number that follows a row's name is what the paper prints: millions of tunable parameters.
CONFIGURATIONS = {
    "paper": MPTConfig(),  # tables I-XI, "MPT (Ours)": 5.5
    "tiny": MPTConfig(backbone="tiny", motion_size=28, lr=3e-3, epochs=12),
    # Table VI: what is trained
    "vi-scratch": MPTConfig(pretrained=False, freeze=False, prompts=0, adapter="none"),  # w/o pretraining: 86.4
    "vi-full": MPTConfig(freeze=False, prompts=0, adapter="none"),  # full fine-tuning: 86.4
    "vi-partial": MPTConfig(prompts=0, adapter="none"),  # partial fine-tuning, the head alone: 0.003
    "vi-motion-prompt": MPTConfig(adapter="none"),  # motion prompt: 0.2; also table VIII, "w/o adapter"
    "vi-group-adapter": MPTConfig(prompts=0),  # group adapter: 3.5; also table VII, "w/o prompt", and figure 5, 0
    # Table VII: which prompts. How many is not printed: of VPT's 1, 5, 10, 50, 100, 200 only these give 5.5 and 5.8
    "vii-vpt-shallow": MPTConfig(prompt="vpt-shallow", prompts=200),  # VPT-Shallow: 5.5
    "vii-vpt-deep": MPTConfig(prompt="vpt-deep", prompts=50),  # VPT-Deep: 5.8
    # Table VIII: which adapter
    "viii-primitive-adapter": MPTConfig(adapter="shared"),  # primitive adapter: 2.0
    # Table IX: which large model; ViT-B/16 is `paper`
    "ix-vit-b32": MPTConfig(backbone="vit-b32"),  # ViT-B/32
    "ix-clip-b16": MPTConfig(backbone="clip-b16"),  # CLIP-ViT-B/16
    "ix-clip-b32": MPTConfig(backbone="clip-b32"),  # CLIP-ViT-B/32
    # Figure 5: how many motion prompts; 5 is `paper`, 0 is `vi-group-adapter`
    "fig5-1": MPTConfig(prompts=1),
    "fig5-3": MPTConfig(prompts=3),
    "fig5-7": MPTConfig(prompts=7),
    # Table X: the magnification factor alpha; 20 is `paper`
    "x-0": MPTConfig(alpha=0),
    "x-10": MPTConfig(alpha=10),
    "x-30": MPTConfig(alpha=30),
    "x-50": MPTConfig(alpha=50),
    # Table XI: the reduction factor r of the adapters; 8 is `paper`
    "xi-4": MPTConfig(reduction=4),
    "xi-12": MPTConfig(reduction=12),
}
