"""Learned motion magnification (Oh et al. 2018, arXiv 1804.02684)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from mepipe import weights
from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops import eulerian
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from mepipe.networks.magnet import MagNet

# What makes a network move things `factor` times as far: ours adds its amplification to the motion that is there, the
# public ones were trained with the factor itself.
_ADDED = {"magnet": 1.0, "magnet-public": 0.0, "magnet-postech": 0.0}


class MagnifyLearnedParams(Params):
    """Parameters of magnify-learned."""

    factor: float = Field(2.0, ge=1, le=50, description="Motion becomes so many times as large; ours is trained to 12.")
    mode: Literal["static", "dynamic", "temporal"] = Field(
        "static", description="Motion since the first frame, since the frame before, or its band-pass over time."
    )
    low: float = Field(0.4, gt=0, description="Lower cut-off of the band-pass, hertz. Of temporal.")
    high: float = Field(4.0, gt=0, description="Upper cut-off of the band-pass, hertz. Of temporal.")
    weights: Literal["magnet", "magnet-public", "magnet-postech"] = Field(
        "magnet", description="Named weights (mepipe weights ls); magnet is ours and comes with mepipe."
    )


def compute(clip: Clip, params: MagnifyLearnedParams, device: str = "cpu") -> Clip:
    """Magnify motion by a network (MagNet), frame by frame; greys in 0..1."""
    if len(clip) < 2:
        msg = f"magnify-learned: at least 2 frames are needed, and there are {len(clip)}. Is offset after onset?"
        raise SampleError(msg)
    import torch

    net: MagNet = weights.module(params.weights, device)  # type: ignore[assignment]
    with torch.inference_mode():
        frames = [((frame.clamp(-1, 1) + 1) / 2).cpu().numpy() for frame in _magnified(net, clip, params, device)]
    return clip.with_frames(np.stack(frames), white=1.0)


def _magnified(net: MagNet, clip: Clip, params: MagnifyLearnedParams, device: str) -> Iterator[Tensor]:
    """Each frame magnified, [H, W, 3] in -1..1 and beyond; what is computed for one is not kept for the next."""
    amplification = params.factor - _ADDED[params.weights]
    height, width = clip.frames.shape[1:3]
    before = _motions_before(net, clip, params, device)
    for frame in clip.levels():
        texture, motion = _encoded(net, frame, device)
        moved = net.manipulate(before(motion), motion, amplification)
        yield net.decode(texture, moved)[0, :, :height, :width].permute(1, 2, 0)


def _motions_before(net: MagNet, clip: Clip, params: MagnifyLearnedParams, device: str) -> Callable[[Tensor], Tensor]:
    """What each motion, asked in order, is to be compared with.

    temporal compares with the motion less its band-pass over time, so that the band-passed part is what grows (paper,
    section 3.4). It keeps the motion of all frames: 32 values to 2 x 2 px, 1.6 MB for each frame of 224 px.
    """
    if params.mode == "temporal":
        import torch

        motions = torch.cat([_encoded(net, frame, device)[1] for frame in clip.levels()])
        mixing = eulerian.filter_matrix(len(clip), clip.rate, params.low, params.high)
        rows = iter(torch.from_numpy(mixing.astype(np.float32)).to(device))
        return lambda motion: motion - torch.tensordot(next(rows), motions, dims=1)
    previous: list[Tensor] = []

    def reference(motion: Tensor) -> Tensor:
        found = previous[0] if previous else motion
        if params.mode == "dynamic" or not previous:
            previous[:] = [motion]
        return found

    return reference


def _encoded(net: MagNet, frame: np.ndarray, device: str) -> tuple[Tensor, Tensor]:
    """Texture and motion of a frame [H, W, 3], 0..255."""
    import torch

    from mepipe.networks.magnet import fitted

    scaled = torch.from_numpy(frame.astype(np.float32) / np.float32(127.5) - 1).to(device)
    return net.encode(fitted(scaled.permute(2, 0, 1)[None])[0])


def _shape(params: MagnifyLearnedParams, clip: Shape) -> Shape:
    return clip


def _timeline(params: MagnifyLearnedParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position


STAGE = Stage(
    name="magnify-learned",
    version=1,
    params=MagnifyLearnedParams,
    inputs=("clip",),
    output=lambda params: Output(
        kind="clip",
        dims=("frame", "y", "x", "channel"),
        dtype="float32",
        units="grey level, 0..1",
        shows_face=True,
        channels=("red", "green", "blue"),
    ),
    compute=compute,
    shape=_shape,
    timeline=_timeline,
    reads=lambda params: ("fps",) if params.mode == "temporal" else (),
    on_device=True,
    weights=lambda params: (params.weights,),
)
