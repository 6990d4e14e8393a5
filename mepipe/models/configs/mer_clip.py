"""MER-CLIP (paper: Liu et al. 2025, arXiv 2505.05937): its parameters, and the rows of its tables by name.

`paper` is what the paper says. `published-code` is the official code (Liusff/MER-CLIP, commit 31037e96) where that
differs: the rate that training really has, from and to a tenth of its peak, step by step; gradients cut to a norm of
20; no weight decay of norms and biases; ViCLIP's text encoder, a temperature that is learned, AugMix and jitter of
every clip, no flip, and the whole of a frame. What of it is not here: AugMix operations stronger than their level; a
clip as its own partner in LocalStaticFaceMix; a sampler that it names and does not define; and what its training on
CASME II, SAMM and CAS(ME)^3 begins with, a MER-CLIP trained on DFME that is not published.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mepipe.models.configs import Config


class MerClipConfig(Config):
    """One configuration of MER-CLIP. The defaults are the paper's (section IV-C), which says nothing of the batch (the
    official code: 8 clips on each of two GPUs) and of the drops (UniFormerV2's own, which most of its files keep)."""

    epochs: int = Field(55, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(16, ge=1, description="Clips in a batch; the others' texts are the negatives of eq. 10.")
    lr: float = Field(5e-5, gt=0, description="Learning rate of AdamW after the warm-up; it falls along a cosine.")
    warmup: int = Field(5, ge=0, description="Epochs in which the rate rises.")
    floor: float = Field(0.0, ge=0, lt=1, description="Share of the rate that it rises from and falls to, by steps.")
    clip_norm: float = Field(0.0, ge=0, description="What the norm of gradients is cut to; 0: they are not.")
    weight_decay: float = Field(0.05, ge=0, description="Weight decay of AdamW.")
    decay_all: bool = Field(True, description="Weight decay of norms and biases too.")
    backbone: Literal["uniformerv2-ssv2-16", "uniformerv2-ssv2-32", "clip-vit-b16", "tiny"] = Field(
        "uniformerv2-ssv2-16", description="What the video encoder begins with; tiny, for trying out."
    )
    text_encoder: Literal["clip-vit-b16", "viclip-text"] = Field(
        "clip-vit-b16", description="Whose frozen text encoder; with backbone tiny, a tiny one."
    )
    crop: float = Field(0.875, gt=0, le=1, description="Share of the stored frames' width that is seen, in the middle.")
    drop_blocks: float = Field(0.2, ge=0, lt=1, description="Drop path of the last block; it rises from 0.")
    drop_extractors: float = Field(0.4, ge=0, lt=1, description="Drop path of the last global block, likewise.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout within the global blocks, and of a linear head.")
    alignment: bool = Field(True, description="The cross-modal alignment module: the contrastive loss with texts.")
    head: Literal["transformer", "linear"] = Field(
        "transformer", description="What infers the emotion: the emotion inference module, or a linear layer."
    )
    weight_first: float = Field(
        2.0, ge=1, le=2, description="Weight of the contrastive loss at first; it falls to 1. 1: always both alike."
    )
    temperature: float = Field(0.07, gt=0, description="Temperature of the contrastive loss (tau).")
    learn_temperature: bool = Field(False, description="Begin with that temperature and learn it.")
    focal_gamma: float = Field(2.0, ge=0, description="Exponent of the focal loss (gamma).")
    texts: Literal["action", "name", "emotion"] = Field(
        "action", description="What texts say: what action units do, their names in FACS, or the emotion's class."
    )
    shuffled: bool = Field(False, description="Action units in a random order, not as annotated.")
    joint: Literal["and", ","] = Field("and", description="What stands before the last of several action units.")
    templates: int = Field(7, ge=1, le=10, description="How many of the ten sentences texts are put into.")
    facemix: float = Field(0.5, ge=0, le=1, description="Share of clips that LocalStaticFaceMix changes.")
    mix: float = Field(0.5, ge=0, le=1, description="What a clip keeps of itself where it is mixed (alpha).")
    augmix: float = Field(0.5, ge=0, le=1, description="Share of clips that AugMix changes.")
    jitter: float = Field(0.5, ge=0, le=1, description="Share of clips whose colours are jittered.")
    flip: float = Field(0.5, ge=0, le=1, description="Share of clips that are mirrored.")
    motion: bool = Field(
        False, description="Frames less the first, brought to one strength, in place of frames: for few clips."
    )


# "Base" of table IX, and no augmentation in table VIII: flip and jitter stay, as far as is said
_BASE: dict[str, object] = {"facemix": 0.0, "augmix": 0.0}
_PUBLISHED: dict[str, object] = {
    # 5e-5 for batches of 128 all in all, which the program scales to the 16 that there are
    "lr": 5e-5 * 16 / 128,
    "floor": 0.1,
    "clip_norm": 20.0,
    "decay_all": False,
    "text_encoder": "viclip-text",
    "crop": 1.0,
    "learn_temperature": True,
    "augmix": 1.0,
    "jitter": 1.0,
    "flip": 0.0,
}
_UNIFORMER: dict[str, object] = {"alignment": False, "head": "linear"}
_ROWS: dict[str, dict[str, object]] = {
    "paper": {},  # tables IV-VII; VIII, all; IX, "+ LSFM + AugMix"; X, F action-oriented; XI, 7
    # The official code, in what most of its files have, and for one database
    "published-code": _PUBLISHED,
    "published-code-casme2": {**_PUBLISHED, "flip": 0.5},
    "published-code-samm": {**_PUBLISHED, "lr": 7e-5 * 16 / 128, "crop": 0.875, "jitter": 0.0},
    "published-code-dfme": {**_PUBLISHED, "drop_blocks": 0.0, "drop_extractors": 0.0, "joint": ","},
    "published-code-casme3": {**_PUBLISHED, "joint": ","},
    # ours: what learns the demo in minutes on a CPU
    "tiny": {
        "backbone": "tiny",
        "motion": True,
        "epochs": 30,
        "batch": 8,
        "lr": 2e-3,
        "temperature": 0.02,  # what a random text encoder makes of texts lies close together
        "drop_blocks": 0.0,
        "drop_extractors": 0.0,
        "dropout": 0.1,
        "augmix": 0.0,
        "jitter": 0.0,
    },
    # Table VIII: which modules; the last of its rows before "Emo-Guided" is `paper`
    "viii-baseline": {**_UNIFORMER, **_BASE},  # also table IX, UniformerV2, Base
    "viii-inference": {"alignment": False, **_BASE},
    "viii-alignment": {"head": "linear", "weight_first": 1.0, **_BASE},
    "viii-both": {"weight_first": 1.0, **_BASE},
    "viii-progressive": _BASE,  # also table IX, MER-CLIP, Base
    "viii-emotion": {"texts": "emotion"},  # Emo-Guided
    # Table IX: which augmentation, with UniFormerV2 alone and with all
    "ix-uniformerv2-facemix": {**_UNIFORMER, "augmix": 0.0},
    "ix-uniformerv2-augmix": {**_UNIFORMER, "facemix": 0.0},
    "ix-uniformerv2-both": _UNIFORMER,
    "ix-facemix": {"augmix": 0.0},
    "ix-augmix": {"facemix": 0.0},
    # Table X: which words, in which order
    "x-name": {"texts": "name"},  # F, FACS-based
    "x-shuffled": {"shuffled": True},  # S, action-oriented
    # Table XI: how many templates
    **{f"xi-{count}": {"templates": count} for count in (1, 3, 5, 10)},
}
CONFIGURATIONS = {name: MerClipConfig.model_validate(changes) for name, changes in _ROWS.items()}
