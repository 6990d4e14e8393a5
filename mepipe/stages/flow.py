"""Optical flow from the first frame of a clip to each of the others."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from mepipe import weights
from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.ops import tvl1
from mepipe.stages.declare import Annotation, Output, Params, Shape, Stage

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as cv2.COLOR_RGB2GRAY


Backend = Literal[
    "tvl1",
    "flownet2",
    "flownet2c",
    "flownet2s",
    "flownet2sd",
    "flownet2cs",
    "flownet2css",
    "raft-large",
    "raft-small",
]


class FlowParams(Params):
    """Parameters of flow."""

    backend: Backend = Field("tvl1", description="tvl1, or a network, by the name of its weights (mepipe weights ls).")
    preset: Literal["micro", "opencv"] = Field(
        "micro", description="micro: tuned for noisy sub-pixel motion; opencv: as published scripts. Of tvl1."
    )
    mode: Literal["clip", "exact"] = Field(
        "clip", description="clip: each flow starts from the one before; exact: each pair alone. Of tvl1."
    )

    @field_validator("preset", "mode")
    @classmethod
    def _only_of_tvl1(cls, value: str, info: ValidationInfo) -> str:
        default = cls.model_fields[str(info.field_name)].default
        if info.data.get("backend", "tvl1") != "tvl1" and value != default:
            about = {"backend": info.data["backend"], "default": default}
            raise PydanticCustomError("tvl1", "Belongs to tvl1, not to {backend}: leave it at '{default}'", about)
        return value


def compute(clip: Clip, params: FlowParams, device: str = "cpu") -> np.ndarray:
    """Optical flow from the first frame to each of the others, pixels."""
    if len(clip) < 2:
        msg = f"flow: at least 2 frames are needed, and there are {len(clip)}. Is offset after onset?"
        raise SampleError(msg)
    frames = clip.levels()
    if params.backend != "tvl1":
        from mepipe.networks.flow import flow  # Torch takes seconds to import

        return flow(weights.module(params.backend, device), frames[0], frames[1:], device)
    grey = frames.astype(np.float32) @ LUMA
    return tvl1.flow(grey[0], grey[1:], preset=params.preset, mode=params.mode, device=device)


def _shape(params: FlowParams, clip: Shape) -> Shape:
    return (2, *clip[:2])


def _timeline(params: FlowParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position[1:]


STAGE = Stage(
    name="flow",
    version=4,
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
    loads=("mepipe.ops.tvl1", "mepipe.ops._tvl1_kernels"),
    on_device=True,
    weights=lambda params: () if params.backend == "tvl1" else (params.backend,),
)
