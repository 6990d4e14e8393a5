"""Sleep: a stage whose cost is known beforehand."""

from __future__ import annotations

import time

import numpy as np
from pydantic import Field

from mepipe.stages.declare import Output, Params, Source, Stage


class SleepParams(Params):
    """Parameters of bench-sleep."""

    seconds: float = Field(0.5, ge=0, description="For how long.")


def compute(source: Source, params: SleepParams) -> np.ndarray:
    """Sleep, and give the number of the onset frame."""
    time.sleep(params.seconds)
    return np.array([source.onset], np.float32)


STAGE = Stage(
    name="bench-sleep",
    version=1,
    params=SleepParams,
    inputs=("source",),
    output=lambda params: Output("array", ("value",), "float32", "1", False),
    compute=compute,
    shape=lambda params, source: (1,),
)
