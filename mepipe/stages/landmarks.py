"""Facial landmarks of the aligned onset frame."""

from __future__ import annotations

import numpy as np

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops.landmarks import N_LANDMARKS
from mepipe.stages.declare import NoParams, Output, Shape, Stage


def compute(clip: Clip, params: NoParams) -> np.ndarray:
    """Give the 478 face mesh points of the onset frame, in pixels of the aligned crop."""
    if clip.landmarks is None:
        msg = "landmarks: this clip carries none. Take the output of align, or of a stage fed by it."
        raise SampleError(msg)
    return clip.landmarks


def _shape(params: NoParams, clip: Shape) -> Shape:
    return (N_LANDMARKS, 2)


STAGE = Stage(
    name="landmarks",
    version=1,
    params=NoParams,
    inputs=("clip",),
    output=lambda params: Output("array", ("point", "channel"), "float32", "px", True, ("x", "y")),
    compute=compute,
    shape=_shape,
)
