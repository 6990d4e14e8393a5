"""Eulerian motion magnification (MPT eq. 4-7)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field, field_validator

from mepipe.clip import Clip
from mepipe.ops import eulerian
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage


class MagnifyEulerianParams(Params):
    """Parameters of magnify-eulerian."""

    alpha: float = Field(20.0, ge=0, le=1000, description="Gain on the band-passed signal; 0 changes nothing.")
    low: float = Field(0.4, gt=0, description="Lower cut-off of the band-pass, hertz.")
    high: float = Field(4.0, gt=0, description="Upper cut-off of the band-pass, hertz.")
    gains: tuple[float, ...] = Field(
        (), description="Factors on alpha by size of detail, finest first, the last for what remains; none: 1 on all."
    )
    chroma: float = Field(1.0, ge=0, le=1, description="Factor on changes of colour at equal luma; 0: only luma.")
    causal: bool = Field(False, description="Filter forward only, so that motion comes late; else both ways, no delay.")

    @field_validator("gains", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        """On the command line they are written with commas."""
        return value.split(",") if isinstance(value, str) else value


def compute(clip: Clip, params: MagnifyEulerianParams, device: str = "cpu") -> Clip:
    """Magnify motion by band-passing intensity over time; greys in 0..1, not clipped.

    Where one matrix over time says it all, it is applied when frames are asked for: what samples them next, as recipes
    do, has only its choice computed.
    """
    levels = clip.levels()
    if device == "cpu" and _is_one_matrix(params):
        course = eulerian.course(len(clip), clip.rate, params.low, params.high, params.alpha, causal=params.causal)
        return replace(clip, source=levels, course=course, white=1.0)
    frames = levels.astype(np.float32) / np.float32(255)
    options = params.model_dump() | {"gains": params.gains or None, "device": device}
    return clip.with_frames(eulerian.magnify(frames, clip.rate, **options), white=1.0)


def _is_one_matrix(params: MagnifyEulerianParams) -> bool:
    return params.alpha > 0 and not params.gains and params.chroma == 1


def _shape(params: MagnifyEulerianParams, clip: Shape) -> Shape:
    return clip


def _timeline(params: MagnifyEulerianParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position


STAGE = Stage(
    name="magnify-eulerian",
    version=2,
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
    loads=("mepipe.ops.eulerian", "scipy.signal"),
    on_device=True,
    deferred=_is_one_matrix,
)
