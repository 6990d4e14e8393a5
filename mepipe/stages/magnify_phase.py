"""Phase-based motion magnification (Wadhwa et al. 2013)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.ops import phase
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage


class MagnifyPhaseParams(Params):
    """Parameters of magnify-phase."""

    alpha: float = Field(10.0, ge=0, le=1000, description="Motion grows to about 1 + alpha; 0 changes nothing.")
    low: float = Field(0.4, gt=0, description="Lower cut-off of the band-pass, hertz.")
    high: float = Field(4.0, gt=0, description="Upper cut-off of the band-pass, hertz.")


def compute(clip: Clip, params: MagnifyPhaseParams) -> Clip:
    """Magnify motion by band-passing local phase over time; greys in 0..1, not clipped."""
    frames = clip.levels().astype(np.float32) / np.float32(255)
    return clip.with_frames(phase.magnify(frames, clip.rate, params.low, params.high, params.alpha), white=1.0)


def _shape(params: MagnifyPhaseParams, clip: Shape) -> Shape:
    return clip


def _timeline(params: MagnifyPhaseParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position


STAGE = Stage(
    name="magnify-phase",
    version=1,
    params=MagnifyPhaseParams,
    inputs=("clip",),
    output=lambda params: Output(
        kind="clip",
        dims=("frame", "y", "x", "channel"),
        dtype="float32",
        units="grey level, 0..1, not clipped",
        shows_face=True,
        channels=("red", "green", "blue"),
    ),
    compute=compute,
    shape=_shape,
    timeline=_timeline,
    reads=lambda params: ("fps",),
)
