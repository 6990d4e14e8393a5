"""Choice of frames: which moments of a clip a model sees."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops import sampling
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage

Strategy = Literal["uniform", "middle", "onset-apex", "key-frame", "apex-window", "full", "random"]
NEEDS_APEX = ("onset-apex", "key-frame", "apex-window")
HAS_ONSET = ("onset-apex", "key-frame")


class SampleParams(Params):
    """Parameters of sample."""

    strategy: Strategy = Field("uniform", description="Which frames: see mepipe.ops.sampling.")
    count: int = Field(16, ge=1, le=4096, description="How many frames (not for onset-apex, full).")
    onset: bool = Field(
        False,
        description="The onset first, for flow from it, then count frames of those after it, or all where they are "
        "fewer.",
    )
    denoise: bool = Field(
        False,
        description="Average each frame with its neighbours in time, as far as fps allows, against sensor noise.",
    )

    @model_serializer(mode="wrap")
    def _without_onset_off(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Keys of what was made before there was `onset` stay as they are."""
        return {name: value for name, value in dump(self).items() if name != "onset" or value}


def compute(clip: Clip, params: SampleParams) -> Clip:
    """Choose frames of a clip, interpolating in time where it has too few."""
    chosen = _indices(params, clip.onset, clip.apex, clip.offset, clip.position)
    width = sampling.smoothing_width(clip.fps) if params.denoise else 0.0
    return clip.at(chosen, width)


def _indices(params: SampleParams, onset: int, apex: int | None, offset: int, position: np.ndarray) -> np.ndarray:
    """Where to look, float64 indices into the clip: whole numbers but where frames are interpolated."""
    if params.strategy == "uniform" and not params.onset:
        return sampling.positions(len(position), params.count)
    if params.strategy in NEEDS_APEX and apex is None:
        msg = (
            f"sample: strategy {params.strategy!r} needs an apex, and the manifest has none. Enter one, or use uniform."
        )
        raise SampleError(msg)
    first, last = _nearest(position, onset), _nearest(position, offset)
    middle = None if apex is None else _nearest(position, apex)
    # a clip's own draw, the same whenever it is made: of the onset's number in the recording, and the clip's length
    rng = np.random.default_rng([abs(onset), len(position)])
    if not params.onset or params.strategy in HAS_ONSET:
        chosen = sampling.indices(params.strategy, len(position), first, middle, last, params.count, rng)
        return chosen.astype(np.float64)
    if last == first:
        msg = f"sample: nothing follows the onset, frame {onset}. Is the offset, {offset}, after it?"
        raise SampleError(msg)
    strategy = "full" if last - first < params.count else params.strategy  # Ra-ICL, A.1.2
    middle = None if middle is None else max(middle, first + 1)
    chosen = sampling.indices(strategy, len(position), first + 1, middle, last, params.count, rng)
    return np.concatenate([[first], chosen]).astype(np.float64)


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
    version=2,
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
