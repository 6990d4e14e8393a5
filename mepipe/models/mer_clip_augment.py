"""How MER-CLIP changes clips in training (paper: Liu et al. 2025, arXiv 2505.05937, sections III-A, IV-C2).

Every change is drawn once for a clip and done to all its frames alike, so that nothing moves that did not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

REGIONS = ("forehead", "chin", "left cheek", "right cheek")


def appearance(augmix: float, flip: float, jitter: float) -> v2.Transform:
    """AugMix, mirroring and colour jitter of a clip `tv_tensors.Video` uint8 [T, 3, H, W], each with its chance.

    AugMix at the paper's magnitude, 1: torchvision draws from the lowest levels of ten, here from two, 0 and 1 (3
    degrees, 3 % shear, 4 % of the width, 10 % brighter). In the official code, levels lie between 0.1 and 1, and some
    of its operations are far stronger than their level (factors of 0.1-0.3 for brightness, solarising that inverts):
    that is not done here. Jitter by up to half, and a tenth of the hues, as there. What is mirrored keeps its text,
    left and right in it too, as there.
    """
    changes = v2.ColorJitter(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)
    return v2.Compose(
        [
            v2.RandomApply([v2.AugMix(severity=2)], augmix),
            v2.RandomHorizontalFlip(flip),
            v2.RandomApply([changes], jitter),
        ]
    )


def each(change: v2.Transform, clips: Tensor) -> Tensor:
    """Clips [B, T, 3, H, W], whole numbers 0..255 of any dtype, each changed by itself; the same shape and dtype."""
    return torch.stack([change(tv_tensors.Video(clip)).as_subclass(Tensor) for clip in clips.byte()]).to(clips.dtype)


def region(name: str, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a part of the face: its top and bottom quarter, and what is between, halved.

    left, right: of the picture. The parts meet and do not overlap; they cover all of it.
    """
    rows = {"forehead": slice(0, height // 4), "chin": slice(3 * height // 4, height)}
    columns = {"left cheek": slice(0, width // 2), "right cheek": slice(width // 2, width)}
    between = slice(height // 4, 3 * height // 4)
    return rows.get(name, between), columns.get(name, slice(0, width))


def blend(clip: Tensor, face: Tensor, name: str, keep: float) -> Tensor:
    """Eq. 1 for one clip [T, C, H, W]: within a region, `keep` of every frame and 1 - keep of the face [C, H, W]."""
    rows, columns = region(name, *clip.shape[-2:])
    mixed = clip.clone()
    mixed[..., rows, columns] = keep * clip[..., rows, columns] + (1 - keep) * face[..., rows, columns]
    return mixed


def face_mix(clips: Tensor, chance: float, keep: float) -> Tensor:
    """LocalStaticFaceMix (algorithm 1): each clip of [B, T, C, H, W], with some chance, blended in one region, drawn
    evenly, with the first frame of another clip of the batch as that came. Labels stay.

    A batch of one has no other, and stays as it is. (The official code may draw the clip itself as the other.)
    """
    count = len(clips)
    if count < 2:
        return clips
    mixed = list(clips)
    for i in torch.nonzero(torch.rand(count) < chance).flatten().tolist():
        other = (i + 1 + int(torch.randint(count - 1, ()))) % count
        name = REGIONS[int(torch.randint(len(REGIONS), ()))]
        mixed[i] = blend(clips[i], clips[other, 0], name, keep)
    return torch.stack(mixed)
