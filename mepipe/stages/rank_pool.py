"""Rank pooling: a clip summed up in one picture, the dynamic image (MPT eq. 1)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.ops import rank_pool
from mepipe.stages.declare import Output, Params, Shape, Stage


class RankPoolParams(Params):
    """Parameters of rank-pool."""

    method: Literal["approximate", "exact"] = Field(
        "approximate", description="approximate: closed-form weights; exact: a linear ranking machine."
    )
    even_light: bool = Field(True, description="First scale each frame to the first one's mean brightness.")


def compute(clip: Clip, params: RankPoolParams) -> np.ndarray:
    """Rank-pool a clip into one picture, stretched to 0..255."""
    frames = rank_pool.even_light(clip.frames) if params.even_light else clip.frames
    return rank_pool.to_image(rank_pool.rank_pool(frames, params.method))


def _shape(params: RankPoolParams, clip: Shape) -> Shape:
    return clip


STAGE = Stage(
    name="rank-pool",
    version=1,
    params=RankPoolParams,
    inputs=("clip",),
    output=lambda params: Output(
        kind="array",
        dims=("y", "x", "channel"),
        dtype="uint8",
        units="grey level, 0..255, stretched",
        shows_face=True,
        channels=("red", "green", "blue"),
    ),
    compute=compute,
    shape=_shape,
)
