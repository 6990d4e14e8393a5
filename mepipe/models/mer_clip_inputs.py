"""What MER-CLIP reads: key frames as pictures, and texts of what moves in them, as tokens."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as pictures

from mepipe.errors import MepipeError
from mepipe.models import prompts
from mepipe.models.configs.mer_clip import MerClipConfig
from mepipe.models.declare import Feature
from mepipe.networks import clip

FRAMES = 16
MEMORY = 4 << 30  # bytes of frames that are kept; samples beyond are read from the store each time
# Of the pixels that the official code gives it, RGB in 0..255: ImageNet's.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Clips:
    """Of each sample, by row: its frames, uint8 [B, 16, 3, size, size], the middle of what is stored.

    crop: share of the stored width that is taken. Resized bilinearly, with antialiasing, where that is another size.
    """

    def __init__(self, feature: Feature, ids: Sequence[str], size: int, crop: float, memory: int = MEMORY) -> None:
        self.feature, self.ids, self.size, self.crop = feature, list(ids), size, crop
        fit = memory // (FRAMES * 3 * size**2)
        self._kept = torch.empty(min(fit, len(self.ids)), FRAMES, 3, size, size, dtype=torch.uint8)
        for row, kept in enumerate(self._kept):
            kept[:] = self._read(row)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return torch.stack([self._kept[i] if i < len(self._kept) else self._read(i) for i in rows.tolist()])

    def _read(self, row: int) -> Tensor:
        frames, sample = self.feature[self.ids[row]], self.ids[row]
        if frames.shape[:1] != (FRAMES,) or frames.shape[3:] != (3,) or frames.dtype != "uint8":
            msg = (
                f"{sample} has frames of shape {list(frames.shape)}, {frames.dtype}, and {FRAMES} are expected, "
                "[16, y, x, 3], uint8, as recipe mer-clip stores them. Run: mepipe extract --recipe mer-clip"
            )
            raise MepipeError(msg)
        side = round(min(frames.shape[1:3]) * self.crop)
        whole = torch.from_numpy(frames).permute(0, 3, 1, 2)
        return pictures.resize(pictures.center_crop(whole, [side, side]), [self.size, self.size], antialias=True)


def normalised(frames: Tensor) -> Tensor:
    """Frames [B, T, 3, H, W], 0..255, as the network takes them."""
    mean, std = (frames.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (frames - mean) / std


def motion(frames: Tensor) -> Tensor:
    """What moves in frames [B, T, 3, H, W]: each less the first, brightness scaled and shifted to fit by least
    squares; divided by the root mean square over the clip. A still clip gives zeros.

    Ours, as MPT's inputs have it (`mpt_inputs.motion_sequence`): a network that begins with random weights does not
    learn from dozens of clips to look away from whose face it is.
    """
    flat = frames.flatten(2)
    flat = flat - flat.mean(dim=2, keepdim=True)
    first = flat[:, :1]
    gain = (flat * first).sum(dim=2, keepdim=True) / first.square().sum(dim=2, keepdim=True).clamp_min(1e-12)
    moved = flat - gain * first
    return (moved / moved.square().mean(dim=(1, 2), keepdim=True).sqrt().clamp_min(1e-4)).view_as(frames)


def unit_tokens(config: MerClipConfig, aus: Mapping[str, str], ids: Sequence[str]) -> Tensor:
    """Of each sample the tokens of what its action units do, in each template (eq. 5-6): int32 [N, templates, 77].

    A sample of which no unit is known has zeros only. Shuffled units have an order of their own in each template, the
    same in every run: the paper does not say how often it is drawn.
    """
    sentences = prompts.templates(config.templates)
    made = torch.zeros(len(ids), len(sentences), clip.CONTEXT, dtype=torch.int32)
    style: prompts.Style = "name" if config.texts == "name" else "action"
    for row, sample in zip(made, ids, strict=True):
        parts = list(prompts.phrases(aus[sample], style))
        if not parts:
            continue
        for place, sentence in zip(row, sentences, strict=True):
            if config.shuffled:
                random.Random(f"{sample} {sentence}").shuffle(parts)
            place[:] = clip.tokens([sentence.format(prompts.combination(parts, config.joint))])[0]
    return made


def class_tokens(config: MerClipConfig, classes: Sequence[str]) -> Tensor:
    """Of each class the tokens of its name in each template, int32 [classes, templates, 77] (table VIII, Emo-Guided).

    The paper prints no such text; the bare name is our reading of "generic emotion labels".
    """
    texts = [[sentence.format(name.lower()) for sentence in prompts.templates(config.templates)] for name in classes]
    return torch.stack([clip.tokens(each) for each in texts]).int()
