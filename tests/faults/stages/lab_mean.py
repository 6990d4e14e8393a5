"""Mean frame, from onset to apex where there is one."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.stages.declare import Output, Params, Stage


class MeanParams(Params):
    """Parameters of lab-mean."""

    scale: float = Field(1.0, description="factor")


def compute(clip: Clip, params: MeanParams) -> np.ndarray:
    """One frame."""
    end = len(clip) if clip.apex is None else clip.apex - clip.onset + 1
    return clip.frames[:end].mean(axis=0, dtype=np.float32) * np.float32(params.scale)


STAGE = Stage(
    name="lab-mean",
    version=1,
    params=MeanParams,
    inputs=("clip",),
    output=lambda p: Output("array", ("y", "x", "channel"), "float32", "grey level", True),
    compute=compute,
    shape=lambda p, clip: clip,
    reads=lambda p: ("apex",),
)
