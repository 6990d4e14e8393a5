"""FlowNet 2.0 (Ilg et al. 2017, arXiv 1612.01925) and its parts C, S, SD, CS and CSS, for the public checkpoints.

Each takes a pair [B, 3, 2, H, W], RGB in 0..255, H and W multiples of 64, and gives the flow from the first image to
the second, [B, 2, H, W], pixels. They agree with NVIDIA/flownet2-pytorch, whose checkpoints they load; some of what
follows looks odd, and is what the weights were made for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.networks.flownet_parts import FlowNetC, FlowNetFusion, FlowNetS, FlowNetSD, channel_norm, warp

MULTIPLE = 64  # pixels: six halvings
SCALE = 20.0  # the sub-networks give flow divided by this


def normalised(pair: Tensor) -> Tensor:
    """The two images without their common mean colour, over 255: [B, 3, 2, H, W] -> [B, 6, H, W], first image first.

    ValueError for another shape, or sides that are no multiples of 64.
    """
    if pair.ndim != 5 or pair.shape[1:3] != (3, 2) or pair.shape[3] % MULTIPLE or pair.shape[4] % MULTIPLE:
        msg = (
            f"FlowNet 2.0 takes pairs [B, 3, 2, H, W] whose sides are multiples of {MULTIPLE}.\n"
            f"Got {list(pair.shape)}.\nResize the images, and scale the flow back."
        )
        raise ValueError(msg)
    centred = (pair - pair.mean(dim=(2, 3, 4), keepdim=True)) / 255
    return torch.cat([centred[:, :, 0], centred[:, :, 1]], dim=1)


def _enlarged(flow: Tensor, mode: str) -> Tensor:
    """From a quarter of the size to the whole; values unchanged. mode: "bilinear" or "nearest"."""
    return F.interpolate(flow, scale_factor=4, mode=mode)


class FlowNet2C(FlowNetC):
    """FlowNetC alone."""

    def forward(self, pair: Tensor) -> Tensor:
        return _enlarged(SCALE * super().forward(normalised(pair)), "bilinear")


class FlowNet2S(FlowNetS):
    """FlowNetS alone, of the two images."""

    def __init__(self) -> None:
        super().__init__(channels=6)

    def forward(self, pair: Tensor) -> Tensor:
        return _enlarged(SCALE * super().forward(normalised(pair)), "bilinear")


class FlowNet2SD(FlowNetSD):
    """FlowNetSD alone; here, unlike within FlowNet2, its output is multiplied."""

    def forward(self, pair: Tensor) -> Tensor:
        return _enlarged(SCALE * super().forward(normalised(pair)), "bilinear")


def _stacked(images: Tensor, flow: Tensor) -> Tensor:
    """What FlowNetS refines a flow from: images, the second brought onto the first, the flow, what differs still."""
    first, second = images.split(3, dim=1)
    moved = warp(second, flow)
    return torch.cat([images, moved, flow / SCALE, channel_norm(first - moved)], dim=1)


class FlowNet2CS(nn.Module):
    """FlowNetC, refined by FlowNetS."""

    def __init__(self) -> None:
        super().__init__()
        self.flownetc = FlowNetC()
        self.flownets_1 = FlowNetS(channels=12)

    def _flow(self, images: Tensor) -> Tensor:
        flow = _enlarged(SCALE * self.flownetc(images), "bilinear")
        return _enlarged(SCALE * self.flownets_1(_stacked(images, flow)), "bilinear")

    def forward(self, pair: Tensor) -> Tensor:
        return self._flow(normalised(pair))


class FlowNet2CSS(FlowNet2CS):
    """FlowNetC, refined by FlowNetS twice."""

    def __init__(self) -> None:
        super().__init__()
        self.flownets_2 = FlowNetS(channels=12)

    def _flow(self, images: Tensor) -> Tensor:
        flow = super()._flow(images)
        return _enlarged(SCALE * self.flownets_2(_stacked(images, flow)), "nearest")


class FlowNet2(FlowNet2CSS):
    """The whole: CSS for large displacements, SD for small ones, and a network that fuses the two."""

    def __init__(self) -> None:
        super().__init__()
        self.flownets_d = FlowNetSD()
        self.flownetfusion = FlowNetFusion()

    def _flow(self, images: Tensor) -> Tensor:
        large = super()._flow(images)
        small = _enlarged(self.flownets_d(images) / SCALE, "nearest")  # divided: so were its weights made
        first, second = images.split(3, dim=1)
        flows = (small, large)
        lengths = [channel_norm(flow) for flow in flows]
        errors = [channel_norm(first - warp(second, flow)) for flow in flows]
        return self.flownetfusion(torch.cat([first, *flows, *lengths, *errors], dim=1))
