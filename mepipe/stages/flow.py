"""Optical flow from the first frame of a clip to each of the others."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops import tvl1
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as cv2.COLOR_RGB2GRAY


class FlowParams(Params):
    """Parameters of flow."""

    preset: Literal["micro", "opencv"] = Field(
        "micro", description="micro: tuned for noisy sub-pixel motion; opencv: as published scripts."
    )
    mode: Literal["clip", "exact"] = Field(
        "clip", description="clip: each flow starts from the one before; exact: each pair alone."
    )


def compute(clip: Clip, params: FlowParams) -> np.ndarray:
    """TV-L1 optical flow from the first frame to each of the others, pixels."""
    if len(clip) < 2:
        msg = f"flow: at least 2 frames are needed, and there are {len(clip)}. Is offset after onset?"
        raise SampleError(msg)
    grey = clip.frames.astype(np.float32) @ LUMA
    return tvl1.flow(grey[0], grey[1:], preset=params.preset, mode=params.mode)


def _shape(params: FlowParams, clip: Shape) -> Shape:
    return (2, *clip[:2])


def _timeline(params: FlowParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position[1:]


STAGE = Stage(
    name="flow",
    version=1,
    params=FlowParams,
    inputs=("clip",),
    output=lambda params: Output(
        kind="flow",
        dims=("frame", "channel", "y", "x"),
        dtype="float32",
        units="px",
        shows_face=False,
        channels=("u", "v"),
    ),
    compute=compute,
    shape=_shape,
    timeline=_timeline,
    libraries=("numba", "opencv-contrib-python"),
)
