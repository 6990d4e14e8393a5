"""Eulerian motion magnification (MPT eq. 4-7)."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.ops import eulerian
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage


class MagnifyEulerianParams(Params):
    """Parameters of magnify-eulerian."""

    alpha: float = Field(20.0, ge=0, le=1000, description="Gain on the band-passed signal; 0 changes nothing.")
    low: float = Field(0.4, gt=0, description="Lower cut-off of the band-pass, hertz.")
    high: float = Field(4.0, gt=0, description="Upper cut-off of the band-pass, hertz.")


def compute(clip: Clip, params: MagnifyEulerianParams) -> Clip:
    """Magnify motion by band-passing intensity over time; greys in 0..1, not clipped."""
    frames = clip.frames.astype(np.float32) / np.float32(255)
    return clip.with_frames(eulerian.magnify(frames, clip.rate, params.low, params.high, params.alpha))


def _shape(params: MagnifyEulerianParams, clip: Shape) -> Shape:
    return clip


def _timeline(params: MagnifyEulerianParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position


STAGE = Stage(
    name="magnify-eulerian",
    version=1,
    params=MagnifyEulerianParams,
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
