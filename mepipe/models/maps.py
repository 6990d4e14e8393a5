"""Motion maps [u, v, strain] as small networks and classifiers take them, whoever computed them: what the baselines
share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.errors import MepipeError
from mepipe.models.declare import Feature

NODE = "motion-map"  # of recipe features: onset to apex
FACE = 224  # flow is in pixels of a face of this width, whatever size a map came in
CELL = 8  # pixels across each cell that is pooled over


def converted(values: np.ndarray, size: int, sample: str = "a map") -> Tensor:
    """A map, or a set of n, of any size as float32 [n, 3, size, size], channels u, v, strain.

    values: [3, H, W] or [H, W, 3], or sets of them, [n, 3, H, W] or [n, H, W, 3]; where both could be, uint8 has its
    channels last and the rest first, as the store keeps them. Numbers are flow in pixels of the map, u to the right,
    v down, and become pixels of a face 224 wide: the same movement is the same number, whatever size it was stored in;
    strain, pixels per pixel, stays. (Maps made smaller by `store import --resize` keep the numbers of their old size,
    and are off by that factor, which standardising takes away within a dataset.) uint8 is a picture of a map: u and v
    0..255, 127.5 being no motion, become -1..1, and strain becomes 0..1. Resized bilinearly, with antialiasing where it
    shrinks. MepipeError where there are not three channels.
    """
    picture = values.dtype == np.uint8
    many = values[None] if values.ndim == 3 else values
    first, last = (many.ndim == 4 and len(many) > 0 and many.shape[axis] == 3 for axis in (1, -1))
    if last and (picture or not first):
        many = many.transpose(0, 3, 1, 2)
    elif not first:
        msg = (
            f"{sample} has shape {list(values.shape)}, and [u, v, strain] is expected: three channels, first or last. "
            f"Import it with --dims y,x,channel or channel,y,x, or read {NODE} of recipe features."
        )
        raise MepipeError(msg)
    fields = torch.from_numpy(np.ascontiguousarray(many)).float()
    if picture:
        fields = torch.cat([fields[:, :2] / 127.5 - 1, fields[:, 2:] / 255], dim=1)
    else:
        height, width = fields.shape[-2:]
        fields = fields * torch.tensor([FACE / width, FACE / height, 1.0]).view(3, 1, 1)
    if fields.shape[-2:] == (size, size):
        return fields
    return F.interpolate(fields, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def single(read: Mapping[str, Feature], samples: Sequence[str], size: int) -> Tensor:
    """The one map of each sample, float16 [N, 3, size, size]; MepipeError where a sample has several."""
    return torch.stack([_one(read, sample, size).half() for sample in samples])


def pooled(read: Mapping[str, Feature], samples: Sequence[str], grid: int) -> Tensor:
    """Each sample's map as numbers, float32 [N, 6 grid^2]: mean, then standard deviation, of u, v and strain over each
    of grid x grid cells of a face, by rows. The means say where the skin goes, the deviations where it moves at all.
    """
    size = CELL * grid
    rows = []
    for sample in samples:
        cells = _one(read, sample, size).unfold(1, CELL, CELL).unfold(2, CELL, CELL).flatten(3)
        rows.append(torch.cat([cells.mean(dim=3).flatten(), cells.std(dim=3, correction=0).flatten()]))
    return torch.stack(rows)


def _one(read: Mapping[str, Feature], sample: str, size: int) -> Tensor:
    (feature,) = read.values()
    found = converted(feature[sample], size, sample)
    if len(found) > 1:
        msg = (
            f"{sample} has {len(found)} maps, and this model reads one. Read {NODE} of recipe features, onset to apex."
        )
        raise MepipeError(msg)
    return found[0]


class Standardise(nn.Module):
    """Inputs [B, C, ...] less the mean of the training samples, over their standard deviation, channel by channel.

    It is fitted, not trained: in the fold, by `Learner.fit`. A channel that is constant there is only shifted.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Mean and (population) standard deviation over all batches, each [B, C, ...], once through."""
        count, total, squares = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for batch in batches:
            values = batch.double().transpose(0, 1).flatten(1)
            count += values.shape[1]
            total = total.to(values.device) + values.sum(dim=1)
            squares = squares.to(values.device) + values.square().sum(dim=1)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
        self.mean.copy_(mean)
        # what float64 leaves of a constant is no deviation
        self.deviation.copy_(torch.where(deviation > 1e-6 * mean.abs(), deviation, torch.ones_like(deviation)))

    def forward(self, x: Tensor) -> Tensor:
        shape = (-1, *(1 for _ in x.shape[2:]))
        return (x - self.mean.view(shape)) / self.deviation.view(shape)
