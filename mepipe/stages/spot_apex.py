"""Apex spotting: the frame in which the expression is strongest, where a database has none."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops import apex
from mepipe.stages.declare import Output, Params, Shape, Stage
from mepipe.stages.flow import LUMA


class SpotApexParams(Params):
    """Parameters of spot-apex."""

    method: apex.Method = Field(
        "peak", description="Which peak of the motion curve: the highest, or see mepipe.ops.apex."
    )


def compute(clip: Clip, params: SpotApexParams) -> np.ndarray:
    """Find the apex of an aligned clip, whether or not one is annotated."""
    if clip.landmarks is None:
        msg = "spot-apex: this clip carries no landmarks. Take the output of align, or of a stage fed by it."
        raise SampleError(msg)
    grey = np.stack([frame.astype(np.float32) @ LUMA for frame in clip.levels()])
    found = apex.spot(grey, clip.landmarks, clip.rate, params.method)
    # Double precision: a frame number may be above 2^24.
    return np.array([clip.position[round(found.apex)], found.peak, found.share])


def _shape(params: SpotApexParams, clip: Shape) -> Shape:
    return (3,)


STAGE = Stage(
    name="spot-apex",
    version=2,
    params=SpotApexParams,
    inputs=("clip",),
    output=lambda params: Output(
        kind="array",
        dims=("channel",),
        dtype="float64",
        units="frame number, px, 1",
        shows_face=False,
        channels=("apex", "peak", "share"),
    ),
    compute=compute,
    shape=_shape,
    reads=lambda params: ("fps",),
    libraries=("numba", "opencv-contrib-python"),
    loads=("mepipe.ops.tvl1", "mepipe.ops._tvl1_kernels"),
)
