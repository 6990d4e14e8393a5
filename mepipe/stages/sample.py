"""Choice of frames: which moments of a clip a model sees."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops import sampling
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage

Strategy = Literal["uniform", "middle", "onset-apex", "key-frame", "apex-window", "full"]
NEEDS_APEX = ("onset-apex", "key-frame", "apex-window")


class SampleParams(Params):
    """Parameters of sample."""

    strategy: Strategy = Field("uniform", description="Which frames: see mepipe.ops.sampling.")
    count: int = Field(16, ge=1, le=4096, description="How many frames (not for onset-apex, full).")
    denoise: bool = Field(
        False,
        description="Average each frame with its neighbours in time, as far as fps allows, against sensor noise.",
    )


def compute(clip: Clip, params: SampleParams) -> Clip:
    """Choose frames of a clip, interpolating in time where it has too few."""
    chosen = _indices(params, clip.onset, clip.apex, clip.offset, clip.position)
    width = sampling.smoothing_width(clip.fps) if params.denoise else 0.0
    return clip.with_frames(sampling.at(clip.frames, chosen, width), _at(clip.position, chosen))


def _indices(params: SampleParams, onset: int, apex: int | None, offset: int, position: np.ndarray) -> np.ndarray:
    """Where to look, float64 indices into the clip: whole numbers but where frames are interpolated."""
    if params.strategy == "uniform":
        return sampling.positions(len(position), params.count)
    if params.strategy in NEEDS_APEX and apex is None:
        msg = (
            f"sample: strategy {params.strategy!r} needs an apex, and the manifest has none. Enter one, or use uniform."
        )
        raise SampleError(msg)
    first, last = _nearest(position, onset), _nearest(position, offset)
    middle = None if apex is None else _nearest(position, apex)
    chosen = sampling.indices(params.strategy, len(position), first, middle, last, params.count)
    return chosen.astype(np.float64)


def _nearest(position: np.ndarray, number: int) -> int:
    return int(np.argmin(np.abs(position - number)))


def _at(position: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.interp(chosen, np.arange(len(position)), position)


def _timeline(params: SampleParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return _at(position, _indices(params, annotation.onset, annotation.apex, annotation.offset, position))


def _shape(params: SampleParams, clip: Shape) -> Shape:
    return clip


STAGE = Stage(
    name="sample",
    version=1,
    params=SampleParams,
    inputs=("clip",),
    output=lambda params: Output(
        kind="clip",
        dims=("frame", "y", "x", "channel"),
        dtype="float32",
        units="",
        shows_face=True,
        channels=("red", "green", "blue"),
    ),
    compute=compute,
    shape=_shape,
    timeline=_timeline,
    reads=lambda params: (("apex",) if params.strategy in NEEDS_APEX else ()) + (("fps",) if params.denoise else ()),
)
