"""Say on which device it was to compute."""

from __future__ import annotations

import numpy as np

from mepipe.clip import Clip
from mepipe.stages.declare import NoParams, Output, Stage


def compute(clip: Clip, params: NoParams, device: str = "cpu") -> np.ndarray:
    """The device's name, in bytes; longer names are cut, shorter ones end in blanks."""
    return np.frombuffer(device.ljust(8)[:8].encode(), np.uint8)


STAGE = Stage(
    name="where-for-tests",
    version=1,
    params=NoParams,
    inputs=("clip",),
    output=lambda params: Output("array", ("letter",), "uint8", "1", False),
    compute=compute,
    shape=lambda params, clip: (8,),
    on_device=True,
)
