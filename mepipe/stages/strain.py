"""Optical strain: how much the skin stretches and shears, whatever the head does."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from mepipe.ops import strain
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage


class StrainParams(Params):
    """Parameters of strain."""

    variant: Literal["tensor", "half-shear"] = Field("tensor", description="Formula: see mepipe.ops.strain.")
    map: bool = Field(False, description="Give the three-channel map [u, v, strain] instead of strain alone.")


def compute(flow: np.ndarray, params: StrainParams, device: str = "cpu") -> np.ndarray:
    """Optical strain of a flow, or the map [u, v, strain] of it."""
    return (strain.motion_map if params.map else strain.strain)(flow, params.variant, device)


def _output(params: StrainParams) -> Output:
    if params.map:
        return Output("array", ("frame", "channel", "y", "x"), "float32", "px, px, 1", False, ("u", "v", "strain"))
    return Output("array", ("frame", "y", "x"), "float32", "1", False)


def _shape(params: StrainParams, flow: Shape) -> Shape:
    return (3, *flow[1:]) if params.map else flow[1:]


def _timeline(params: StrainParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position


STAGE = Stage(
    name="strain",
    version=1,
    params=StrainParams,
    inputs=("flow",),
    output=_output,
    compute=compute,
    shape=_shape,
    timeline=_timeline,
    on_device=True,
)
