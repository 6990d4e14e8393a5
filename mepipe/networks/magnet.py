"""MagNet: learned motion magnification in both public PyTorch layouts.

Oh, Jaroensri, Kim, Elgharib, Durand, Freeman and Matusik, Learning-based Video Motion Magnification, ECCV 2018
(arXiv 1804.02684). An encoder splits a frame into texture (1/4 of the size) and motion, which the paper calls shape
(1/2); the manipulator enlarges the difference between the motion of two frames; the decoder draws the result.

The two layouts bear the keys and shapes of public checkpoints: layout A those of
ZhengPeng7/motion_magnification_learning-based, without a bias anywhere, layout B those of
postech-ami/Deep-Motion-Mag-Pytorch. In both the manipulated motion is
`motion_b + h(amplification * g(motion_b - motion_a))`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_STRIDE = 4  # frames are padded to a multiple of this, at which both layouts are exact


class _Padded(nn.Conv2d):
    """A convolution whose border is the mirrored picture: same size at stride 1, half (rounded up) at stride 2."""

    def __init__(self, inward: int, outward: int, size: int = 3, stride: int = 1, bias: bool = False) -> None:
        super().__init__(inward, outward, size, stride, bias=bias)
        self.border = [size // 2] * 4

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, self.border, mode="reflect"))


class _Cba(nn.Module):
    """Layout A's convolution, rectified or not."""

    def __init__(self, inward: int, outward: int, size: int = 3, stride: int = 1, relu: bool = True) -> None:
        super().__init__()
        self.conv2d = _Padded(inward, outward, size, stride)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2d(x)
        return functional.relu(y) if self.relu else y


class _ResA(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.cba_1 = _Cba(width, width)
        self.cba_2 = _Cba(width, width, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cba_2(self.cba_1(x))


class _ResB(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _Padded(width, width, bias=True)
        self.conv2 = _Padded(width, width, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(functional.relu(self.conv1(x)))


def _chain(block: type[nn.Module], width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(block(width) for _ in range(count)))


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class _EncoderA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cba_1 = _Cba(3, 16, size=7)
        self.cba_2 = _Cba(16, 32, stride=2)
        self.resblks = _chain(_ResA, 32, 3)
        self.texture_cba = _Cba(32, 32, stride=2)
        self.texture_resblks = _chain(_ResA, 32, 2)
        self.motion_cba = _Cba(32, 32)
        self.motion_resblks = _chain(_ResA, 32, 2)

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Texture [B, 32, H/4, W/4] and motion [B, 32, H/2, W/2] of frames [B, 3, H, W] in -1..1."""
        x = self.resblks(self.cba_2(self.cba_1(frame)))
        return self.texture_resblks(self.texture_cba(x)), self.motion_resblks(self.motion_cba(x))


class _ManipulatorA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.g = _Cba(32, 32)
        self.h_conv = _Cba(32, 32, relu=False)
        self.h_resblk = _ResA(32)

    def forward(self, motion_a: Tensor, motion_b: Tensor, amplification: Tensor) -> Tensor:
        change: Tensor = self.h_resblk(self.h_conv(amplification * self.g(motion_b - motion_a)))
        return motion_b + change


class _DecoderA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resblks = _chain(_ResA, 64, 9)
        self.cba_1 = _Cba(64, 32)
        self.cba_2 = _Cba(32, 3, size=7, relu=False)

    def forward(self, texture: Tensor, motion: Tensor) -> Tensor:
        x = self.resblks(torch.cat([_double(texture), motion], dim=1))
        y: Tensor = self.cba_2(self.cba_1(_double(x)))
        return y


class _ResEncoderB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Padded(3, 16, size=7, bias=True)
        self.conv2 = _Padded(16, 32, stride=2, bias=True)
        self.residual = _chain(_ResB, 32, 3)

    def forward(self, frame: Tensor) -> Tensor:
        x: Tensor = self.residual(functional.relu(self.conv2(functional.relu(self.conv1(frame)))))
        return x


class _EncoderB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.res_encoder = _ResEncoderB()
        self.conv_tex = _Padded(32, 32, stride=2, bias=True)
        self.conv_sha = _Padded(32, 32, bias=True)
        self.texture_resblk = _chain(_ResB, 32, 2)
        self.shape_resblk = _chain(_ResB, 32, 2)

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """As layout A's."""
        x = self.res_encoder(frame)
        texture = self.texture_resblk(functional.relu(self.conv_tex(x)))
        return texture, self.shape_resblk(functional.relu(self.conv_sha(x)))


class _ManipulatorB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Padded(32, 32, size=7, bias=True)
        self.conv2 = _Padded(32, 32, bias=True)
        self.residual = _chain(_ResB, 32, 1)

    def forward(self, motion_a: Tensor, motion_b: Tensor, amplification: Tensor) -> Tensor:
        changed = amplification * functional.relu(self.conv1(motion_b - motion_a))
        return motion_b + self.residual(self.conv2(changed))


class _ResDecoderB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.residual = _chain(_ResB, 64, 9)
        self.conv_up_sample = _Padded(64, 64, bias=True)
        self.conv1 = _Padded(64, 32, bias=True)
        self.conv2 = _Padded(32, 3, size=7, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.conv_up_sample(_double(self.residual(x))))
        y: Tensor = self.conv2(functional.relu(self.conv1(x)))
        return y


class _DecoderB(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_tex_aft_upsample = _Padded(32, 32, bias=True)
        self.res_decoder = _ResDecoderB()

    def forward(self, texture: Tensor, motion: Tensor) -> Tensor:
        texture = functional.relu(self.conv_tex_aft_upsample(_double(texture)))
        y: Tensor = self.res_decoder(torch.cat([texture, motion], dim=1))
        return y


class MagNet(nn.Module):
    """Either layout: its parts by their names, in the order of the public state dict."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.manipulation = next(name for name in parts if "manipulator" in name)

    def encode(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Texture [B, 32, H/4, W/4] and motion [B, 32, H/2, W/2] of frames [B, 3, H, W]; H, W multiples of 4."""
        parts: tuple[Tensor, Tensor] = self.get_submodule("encoder")(frame)
        return parts

    def manipulate(self, motion_a: Tensor, motion_b: Tensor, amplification: Tensor | float) -> Tensor:
        """Motion with its difference from `motion_a` enlarged. One amplification for all, or one of each [B]."""
        factor = torch.as_tensor(amplification, dtype=motion_b.dtype, device=motion_b.device)
        moved: Tensor = self.get_submodule(self.manipulation)(motion_a, motion_b, factor.reshape(-1, 1, 1, 1))
        return moved

    def decode(self, texture: Tensor, motion: Tensor) -> Tensor:
        """Frames [B, 3, H, W], unclipped."""
        frame: Tensor = self.get_submodule("decoder")(texture, motion)
        return frame

    def forward(self, frame_a: Tensor, frame_b: Tensor, amplification: Tensor | float) -> Tensor:
        """Frame B with what moved since frame A moved further: float [B, 3, H, W], unclipped.

        frame_a, frame_b: RGB, float [B, 3, H, W] in -1..1, any H and W of at least 8. What an amplification does to
        the motion is for the weights to say: those trained by mepipe move 1 + amplification times as far.
        """
        (before, _), (after, size) = fitted(frame_a), fitted(frame_b)
        _, motion_a = self.encode(before)
        texture_b, motion_b = self.encode(after)
        return self.decode(texture_b, self.manipulate(motion_a, motion_b, amplification))[..., : size[0], : size[1]]


def magnet() -> MagNet:
    """Layout A: 42 tensors, 877,968 parameters, no biases, so that without motion no amplification changes a thing."""
    return MagNet(encoder=_EncoderA(), manipulator=_ManipulatorA(), decoder=_DecoderA())


def magnet_deepmag_postech() -> MagNet:
    """Layout B: 88 tensors, 966,979 parameters."""
    return MagNet(encoder=_EncoderB(), decoder=_DecoderB(), res_manipulator=_ManipulatorB())


def fitted(frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Frames [B, C, H, W] mirrored at the right and lower border to multiples of 4, and the size that they had."""
    height, width = frames.shape[-2:]
    right, lower = -width % _STRIDE, -height % _STRIDE
    if right or lower:
        frames = functional.pad(frames, [0, right, 0, lower], mode="reflect")
    return frames, (height, width)
