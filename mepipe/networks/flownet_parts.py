"""What the FlowNet 2.0 networks are made of: correlation, warping, and the sub-networks C, S, SD and fusion.

Keys and shapes are those of NVIDIA's conversion of the published Caffe models (NVIDIA/flownet2-pytorch). Flow is
[B, 2, H, W]: channel 0 to the right, channel 1 downward.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH, STEP = 10, 2  # displacements that the correlation looks at, to each side, and the pixels between two of them
SLOPE = 0.1  # of LeakyReLU, below zero


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """How alike two feature maps are at each displacement: [B, C, H, W] twice -> [B, 441, H, W].

    Channel (j + 10) * 21 + (i + 10) at (y, x) is the mean over C of first[y, x] * second[y + 2 j, x + 2 i], with zero
    outside (Dosovitskiy et al., FlowNet, eq. 1, with patches of one pixel).
    """
    height, width = first.shape[-2:]
    margin = REACH * STEP
    shifts = torch.arange(0, 2 * margin + 1, STEP, device=first.device)
    rows = first.permute(0, 2, 3, 1).contiguous() / first.shape[1]  # [B, y, x, C]
    others = F.pad(second, (margin,) * 4).permute(0, 2, 1, 3).contiguous()  # [B, y', C, x']
    met = (torch.arange(width, device=first.device)[:, None] + shifts).expand(*rows.shape[:3], -1)  # [B, y, x, 21]
    # All x' against all x of a row are more products than are wanted, and a seventh of the time of those wanted one
    # displacement after another.
    found = [torch.matmul(rows, others[:, y : y + height]).gather(3, met) for y in shifts.tolist()]
    return torch.cat(found, dim=3).permute(0, 3, 1, 2)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """`image` [B, C, H, W] sampled, linearly, where `flow` [B, 2, H, W] points to; outside, its border goes on."""
    height, width = image.shape[-2:]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    places = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(image, places, mode="bilinear", padding_mode="border", align_corners=True)


def channel_norm(image: Tensor) -> Tensor:
    """Euclidean length over channels: [B, C, H, W] -> [B, 1, H, W]."""
    return image.square().sum(dim=1, keepdim=True).sqrt()


def conv(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size up to the stride, then LeakyReLU."""
    return nn.Sequential(nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2), nn.LeakyReLU(SLOPE))


class _Decoding(nn.Module):
    """The decoder that all sub-networks share: from the coarsest features, flow at each finer level."""

    def _add_decoder(
        self, encoded: Mapping[int, int], decoded: Mapping[int, int], between: bool = True, bias: bool = True
    ) -> None:
        """encoded: {level: channels of the encoder's features}, coarsest first. decoded: {level: channels that come
        from the level above}. between: a convolution before each prediction. bias: of the upsampled flow.
        """
        self.levels = tuple(encoded)
        self.between = between
        joined = {level: encoded[level] + decoded.get(level, -2) + 2 for level in encoded}
        for level, width in decoded.items():
            up = nn.ConvTranspose2d(joined[level + 1], width, 4, 2, 1)
            self.add_module(f"deconv{level}", nn.Sequential(up, nn.LeakyReLU(SLOPE)))
        for level, width in decoded.items() if between else ():
            self.add_module(f"inter_conv{level}", nn.Sequential(nn.Conv2d(joined[level], width, 3, 1, 1)))
        for level in encoded:
            seen = decoded[level] if between and level in decoded else joined[level]
            self.add_module(f"predict_flow{level}", nn.Conv2d(seen, 2, 3, 1, 1))
        for level in decoded:
            up = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=bias)
            self.add_module(f"upsampled_flow{level + 1}_to_{level}", up)

    def _decode(self, features: Mapping[int, Tensor]) -> Tensor:
        """The flow at the finest level."""
        top, *finer = self.levels
        joined = features[top]
        flow = self.get_submodule(f"predict_flow{top}")(joined)
        for level in finer:
            larger = self.get_submodule(f"upsampled_flow{level + 1}_to_{level}")(flow)
            joined = torch.cat([features[level], self.get_submodule(f"deconv{level}")(joined), larger], dim=1)
            seen = self.get_submodule(f"inter_conv{level}")(joined) if self.between else joined
            flow = self.get_submodule(f"predict_flow{level}")(seen)
        return flow


class _Deep(_Decoding):
    """What C, S and SD share: the encoder from level 3 on, and the decoder from level 6 to level 2."""

    def _add_depth(self, between: bool = False, bias: bool = True) -> None:
        for level, before, after in ((4, 256, 512), (5, 512, 512), (6, 512, 1024)):
            self.add_module(f"conv{level}", conv(before, after, stride=2))
            self.add_module(f"conv{level}_1", conv(after, after))
        self._add_decoder({6: 1024, 5: 512, 4: 512, 3: 256, 2: 128}, {5: 512, 4: 256, 3: 128, 2: 64}, between, bias)

    def _descend(self, second: Tensor, third: Tensor) -> Tensor:
        """Flow at a quarter of the size, from the features of levels 2 and 3."""
        features = {2: second, 3: third}
        for level in (4, 5, 6):
            down = self.get_submodule(f"conv{level}")(features[level - 1])
            features[level] = self.get_submodule(f"conv{level}_1")(down)
        return self._decode(features)


class FlowNetC(_Deep):
    """Correlates the features of two images: [B, 6, H, W] -> flow / 20, [B, 2, H/4, W/4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(3, 64, 7, 2)
        self.conv2 = conv(64, 128, 5, 2)
        self.conv3 = conv(128, 256, 5, 2)
        self.conv_redir = conv(256, 32, 1)
        self.conv3_1 = conv(473, 256)
        self._add_depth()

    def forward(self, images: Tensor) -> Tensor:
        first, second = (self.conv2(self.conv1(image)) for image in images.split(3, dim=1))
        deep = self.conv3(first)
        alike = F.leaky_relu(correlation(deep, self.conv3(second)), SLOPE)
        return self._descend(first, self.conv3_1(torch.cat([self.conv_redir(deep), alike], dim=1)))


class FlowNetS(_Deep):
    """Sees images, and what else it is given, stacked: [B, channels, H, W] -> flow / 20, [B, 2, H/4, W/4]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, 64, 7, 2)
        self.conv2 = conv(64, 128, 5, 2)
        self.conv3 = conv(128, 256, 5, 2)
        self.conv3_1 = conv(256, 256)
        self._add_depth(bias=False)

    def forward(self, stacked: Tensor) -> Tensor:
        second = self.conv2(self.conv1(stacked))
        return self._descend(second, self.conv3_1(self.conv3(second)))


class FlowNetSD(_Deep):
    """FlowNetS for small displacements: [B, 6, H, W] -> flow times or by 20 (see flownet2.py), [B, 2, H/4, W/4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = conv(6, 64)
        self.conv1 = conv(64, 64, stride=2)
        self.conv1_1 = conv(64, 128)
        self.conv2 = conv(128, 128, stride=2)
        self.conv2_1 = conv(128, 128)
        self.conv3 = conv(128, 256, stride=2)
        self.conv3_1 = conv(256, 256)
        self._add_depth(between=True)

    def forward(self, images: Tensor) -> Tensor:
        first = self.conv1_1(self.conv1(self.conv0(images)))
        second = self.conv2_1(self.conv2(first))
        return self._descend(second, self.conv3_1(self.conv3(second)))


class FlowNetFusion(_Decoding):
    """Takes the better of two flows at each place: [B, 11, H, W] -> flow [B, 2, H, W]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = conv(11, 64)
        self.conv1 = conv(64, 64, stride=2)
        self.conv1_1 = conv(64, 128)
        self.conv2 = conv(128, 128, stride=2)
        self.conv2_1 = conv(128, 128)
        self._add_decoder({2: 128, 1: 128, 0: 64}, {1: 32, 0: 16})

    def forward(self, evidence: Tensor) -> Tensor:
        whole = self.conv0(evidence)
        half = self.conv1_1(self.conv1(whole))
        return self._decode({0: whole, 1: half, 2: self.conv2_1(self.conv2(half))})
