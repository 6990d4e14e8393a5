"""Instance sets: motion maps [u, v, strain] of one clip, and what is done to them before a network sees them (paper:
"Region-aware Instance Consistency Learning for Apex-free Micro-expression Recognition", sections 3.1, 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mepipe.models.declare import Feature
from mepipe.models.maps import converted

MEMORY = 4 << 30  # bytes of prepared maps that are kept; samples beyond are read from the store each time


class Instances:
    """Of each sample, by row: its middle instance and two at random, float16 [B, 3, 3, size, size].

    The middle one is what a sample is recognised by (A.1.3); the other two are what it is learned from (3.2), drawn
    from Torch's own generator whenever they are read, distinct where there are two, all three the same where the
    set is a single map. So a step moves three maps of a sample, whether its set has 16 or 300. What the feature may
    hold is what `maps.converted` takes.
    """

    def __init__(self, feature: Feature, ids: Sequence[str], size: int, memory: int = MEMORY) -> None:
        self.feature, self.ids, self.size = feature, list(ids), size
        self._kept: list[Tensor] = []
        for sample in self.ids:
            if memory <= 0:
                break
            self._kept.append(converted(feature[sample], size, sample).half())
            memory -= self._kept[-1].nbytes

    def __getitem__(self, rows: Tensor) -> Tensor:
        batch = torch.empty(len(rows), 3, 3, self.size, self.size, dtype=torch.float16)
        for three, row in zip(batch, rows.tolist(), strict=True):
            self._read(row, three)
        return batch

    def _read(self, row: int, three: Tensor) -> None:
        if row < len(self._kept):
            kept = self._kept[row]
            for place, chosen in enumerate(_three_of(len(kept))):
                three[place] = kept[chosen]
            return
        values = self.feature[self.ids[row]]
        values = values[None] if values.ndim == 3 else values
        # of a set that lies in a file, only these three are read
        three[:] = converted(values[_three_of(len(values))], self.size, self.ids[row])


def _three_of(count: int) -> list[int]:
    """The middle one, and two of 0..count-1, drawn evenly from all ordered pairs of distinct ones."""
    if count == 1:
        return [0, 0, 0]
    one, other = int(torch.randint(count, ())), int(torch.randint(count - 1, ()))
    return [count // 2, one, other + (other >= one)]


def flip(motion: Tensor) -> Tensor:
    """Maps [..., 3, H, W] of the mirrored face: columns reversed, and u, which points to the right, negated.

    Reversed columns alone, as a picture is flipped, would turn corners of a mouth that move apart into ones that
    move together: another expression. The paper does not say which; of the mirrored face its claim, that attention is
    mirrored, is true. Strain has no direction.
    """
    mirrored = motion.flip(-1)
    mirrored[..., 0, :, :] *= -1
    return mirrored


def strengthen(motion: Tensor, most: float) -> Tensor:
    """Colour jitter for motion: each map of [B, 3, H, W] times a factor from 1 - most to 1 + most, drawn evenly.

    A weaker or stronger movement with the same pattern, which is what one instance is to another: brightness, as far
    as a map has any. Hue and saturation would turn its directions. Strain is linear in the factor, as flow is.
    """
    factor = 1 + most * (2 * torch.rand(len(motion), device=motion.device) - 1)
    return motion * factor.view(-1, 1, 1, 1)


def blur(motion: Tensor, widest: float) -> Tensor:
    """Gaussian blur of [B, 3, H, W], of each map's own standard deviation, drawn evenly from 0 to `widest` pixels.

    At borders the kernel's weights are those of the pixels that there are, brought to sum 1, so a constant stays one.
    """
    if not widest:
        return motion
    sigma = widest * torch.rand(len(motion), device=motion.device).clamp_min(1e-3)
    rows, columns = (_gaussian(sigma, length) for length in motion.shape[-2:])
    return rows[:, None] @ motion @ columns.transpose(1, 2)[:, None]


def _gaussian(sigma: Tensor, length: int) -> Tensor:
    """Blurring along an axis as a matrix: [B] -> [B, length, length], rows sum to one."""
    place = torch.arange(length, device=sigma.device)
    return torch.softmax(-0.5 * ((place[:, None] - place) / sigma.view(-1, 1, 1)) ** 2, dim=-1)
