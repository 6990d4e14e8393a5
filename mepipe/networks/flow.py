"""Optical flow by a network: FlowNet 2.0 and its parts, or RAFT (Teed and Deng 2020, torchvision's), on frames as they
come.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.optical_flow import RAFT

from mepipe.networks.flownet2 import MULTIPLE

# Pairs of a clip that a device computes at once. Never those of several clips: a sample's bits would depend on who else
# is there.
TOGETHER = 16
RAFT_MULTIPLE, RAFT_SMALLEST = 8, 128  # pixels: RAFT halves an eighth of the image three times more


def flow(module: nn.Module, reference: np.ndarray, targets: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Motion from `reference` to each of `targets`: float32 [N, 2, H, W], pixels, u to the right and v downward.

    module: one of FlowNet 2.0's or RAFT, in eval mode, on `device`. reference: [H, W, 3], targets: [N, H, W, 3], RGB
    in 0..255, uint8 or float32. Sides that the network cannot take are enlarged (multiples of 64 for FlowNet 2.0; of
    8, and at least 128, for RAFT) and the flow brought back to the frames' size and pixels.

    On the processor one pair at a time, so memory is that of one pair; on a device `TOGETHER` at once. On a CPU the
    bits are the same for the same number of threads, whatever else the machine does; another number rounds otherwise,
    below 1e-4 px. Raises ValueError for other shapes.

    >>> from mepipe.networks import build
    >>> frames = np.zeros((3, 60, 90, 3), np.uint8)
    >>> flow(build("raft_small"), frames[0], frames[1:]).shape
    (2, 2, 60, 90)
    """
    if reference.ndim != 3 or reference.shape[2] != 3 or targets.shape[1:] != reference.shape:
        msg = (
            f"Flow by a network needs a reference [H, W, 3] and targets [N, H, W, 3] of the same size.\n"
            f"Got {list(reference.shape)} and {list(targets.shape)}.\nPass one RGB frame and a stack of RGB frames."
        )
        raise ValueError(msg)
    pair = _raft if isinstance(module, RAFT) else _flownet2
    size = 1 if device == "cpu" else TOGETHER
    with torch.inference_mode():
        first = _images(reference[None], device)
        batches = [_images(targets[start : start + size], device) for start in range(0, len(targets), size)]
        found = [pair(module, first.expand(len(batch), -1, -1, -1), batch).cpu().numpy() for batch in batches]
    return np.concatenate(found) if found else np.empty((0, 2, *reference.shape[:2]), np.float32)


def _images(frames: np.ndarray, device: str) -> Tensor:
    pixels = np.array(frames, np.float32, order="C")  # a copy: channels reversed as a view are no tensor
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2)


def _flownet2(module: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    size = [_raised(side, MULTIPLE) for side in first.shape[-2:]]
    pair = torch.stack([_resized(image, size) for image in (first, second)], dim=2)
    return _restored(module(pair), first)


def _raft(module: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    size = [max(RAFT_SMALLEST, _raised(side, RAFT_MULTIPLE)) for side in first.shape[-2:]]
    images = (_resized(image, size) / 127.5 - 1 for image in (first, second))
    return _restored(module(*images)[-1], first)  # the last of its refinements


def _raised(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple


def _resized(image: Tensor, size: list[int]) -> Tensor:
    if list(image.shape[-2:]) == size:
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False)


def _restored(found: Tensor, image: Tensor) -> Tensor:
    """A flow at the size of the image, and in its pixels."""
    size = list(image.shape[-2:])
    scale = [size[1] / found.shape[-1], size[0] / found.shape[-2]]
    return _resized(found, size) * torch.tensor(scale, dtype=found.dtype, device=found.device).view(1, 2, 1, 1)
