"""Cut a corner out of every frame."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from pydantic import Field

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.stages.declare import Output, Params, Source, Stage


class CutParams(Params):
    """Parameters of lab-cut."""

    size: int = Field(16, description="px")


def compute(source: Source, params: CutParams) -> Clip:
    """A black clip fails. LAB_PAUSE: seconds that each clip takes, to have time to kill. LAB_LOG: who is at it."""
    pairs = [(n, f[: params.size, : params.size]) for n, f in source.frames]
    frames = np.stack([f for _, f in pairs])
    if frames.max() == 0:
        msg = "lab-cut: the clip is black. Switch on the light."
        raise SampleError(msg)
    if "LAB_LOG" in os.environ:
        with Path(os.environ["LAB_LOG"]).open("a") as log:
            log.write(f"{os.getpid()}\n")
    time.sleep(float(os.environ.get("LAB_PAUSE", "0")))
    position = np.array([n for n, _ in pairs], np.float64)
    return Clip(frames, position, source.fps, source.onset, source.apex, source.offset)


STAGE = Stage(
    name="lab-cut",
    version=1,
    params=CutParams,
    inputs=("source",),
    output=lambda p: Output("clip", ("frame", "y", "x", "channel"), "uint8", "grey level", True),
    compute=compute,
    shape=lambda p, source: (p.size, p.size, 1),
    timeline=lambda p, annotation, position: position,
)
