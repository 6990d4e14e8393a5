"""What MPT reads, as it takes it: the dynamic image in its backbone's pixel values, and what moves in the frames."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mepipe.models.backbones import HALF, RGB


def dynamic_image(image: np.ndarray, size: int, mean: RGB = HALF, std: RGB = HALF) -> Tensor:
    """A rank-pooled image as the transformer takes it: [y, x, 3] -> float16 [3, S, S], 0..1 less mean, over std.

    uint8 is taken as 0..255, float as 0..1. The defaults give -1..1, as the augreg checkpoints were trained on.
    """
    scaled = torch.from_numpy(np.ascontiguousarray(image)).float()
    if image.dtype == np.uint8:
        scaled = scaled / 255
    return _resize(((scaled - torch.tensor(mean)) / torch.tensor(std)).permute(2, 0, 1)[None], size)[0].half()


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
