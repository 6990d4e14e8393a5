"""Face alignment: one crop per clip, the head in every frame brought onto where it was at the onset."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from mepipe import weights
from mepipe.clip import Clip
from mepipe.stages.declare import Annotation, Output, Params, Shape, Source, Stage

if TYPE_CHECKING:
    from mepipe.ops.landmarks import Landmarker


class AlignParams(Params):
    """Parameters of align."""

    size: int = Field(224, ge=64, le=1024, description="Width and height of the crop, pixels.")
    margin: float = Field(0.05, ge=0, le=1, description="Room around the face, as a share of its size.")
    stabilise: bool = Field(True, description="Undo the head's shift, rotation and change of size.")
    reference: Literal["onset", "windows"] = Field(
        "onset", description="What the head is measured against; windows: for long clips in which it turns."
    )
    min_face: int = Field(40, ge=16, description="Faces narrower than this in the recording are refused, pixels.")
    landmarker: Literal["facemesh", "face-landmarker"] = Field(
        "facemesh", description="facemesh: in mediapipe 0.10; face-landmarker: by weights, mediapipe 1 too."
    )


@cache
def _landmarker(name: str) -> Landmarker:
    """Made once for a process: it remembers nothing from one frame to the next."""
    if name == "face-landmarker":
        from mepipe.ops.landmarker_task import FaceLandmarker

        return FaceLandmarker(weights.locate(name))
    from mepipe.ops.landmarks import FaceMesh

    return FaceMesh()


def compute(source: Source, params: AlignParams) -> Clip:
    """Crop the face once per clip and hold the head where it was at the onset."""
    from mepipe.ops.align import align

    aligned = align(
        source.frames,
        _landmarker(params.landmarker),
        size=params.size,
        margin=params.margin,
        stabilise=params.stabilise,
        reference=params.reference,
        min_face=params.min_face,
    )
    return Clip(
        source=aligned.frames if aligned.frames.shape[-1] == 3 else _in_colour(aligned.frames),
        position=aligned.numbers.astype(np.float64),
        fps=source.fps,
        onset=source.onset,
        apex=source.apex,
        offset=source.offset,
        landmarks=aligned.landmarks,
    )


def _in_colour(grey: np.ndarray) -> np.ndarray:
    """[T, H, W, 1] -> [T, H, W, 3]; NumPy takes thirty times as long."""
    import cv2

    out = np.empty((*grey.shape[:3], 3), np.uint8)
    for frame, coloured in zip(grey, out, strict=True):
        cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB, dst=coloured)
    return out


def _shape(params: AlignParams, source: Shape) -> Shape:
    return (params.size, params.size, 3)


def _timeline(params: AlignParams, annotation: Annotation, position: np.ndarray) -> np.ndarray:
    return position


STAGE = Stage(
    name="align",
    version=2,
    params=AlignParams,
    inputs=("source",),
    output=lambda params: Output(
        kind="clip",
        dims=("frame", "y", "x", "channel"),
        dtype="uint8",
        units="grey level, 0..255",
        shows_face=True,
        channels=("red", "green", "blue"),
    ),
    compute=compute,
    shape=_shape,
    timeline=_timeline,
    libraries=("mediapipe", "opencv-contrib-python"),
    loads=("mepipe.ops._face_mesh", "mepipe.ops.align", "mepipe.ops._stabilise_kernels"),
    weights=lambda params: () if params.landmarker == "facemesh" else (params.landmarker,),
)
