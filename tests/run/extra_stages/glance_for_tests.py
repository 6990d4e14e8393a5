"""Look at every frame, and keep none."""

from __future__ import annotations

import numpy as np

from mepipe.stages.declare import NoParams, Output, Source, Stage


def compute(source: Source, params: NoParams) -> np.ndarray:
    """The mean grey of all frames."""
    return np.array([np.mean([frame.mean() for _, frame in source.frames])], np.float32)


STAGE = Stage(
    name="glance-for-tests",
    version=1,
    params=NoParams,
    inputs=("source",),
    output=lambda params: Output("array", ("value",), "float32", "grey level", False),
    compute=compute,
    shape=lambda params, source: (1,),
)
