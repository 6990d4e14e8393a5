"""Count the threads that a worker's libraries have."""

from __future__ import annotations

import cv2
import numpy as np
from threadpoolctl import threadpool_info

from mepipe.clip import Clip
from mepipe.stages.declare import NoParams, Output, Stage


def compute(clip: Clip, params: NoParams) -> np.ndarray:
    """Threads of OpenCV, of the linear algebra that is loaded by now (the most of any), of numba."""
    import numba
    import scipy.linalg  # noqa: F401 - brings a BLAS of its own

    most = max(library["num_threads"] for library in threadpool_info())
    return np.array([cv2.getNumThreads(), most, numba.get_num_threads()], np.uint8)


STAGE = Stage(
    name="threads-for-tests",
    version=1,
    params=NoParams,
    inputs=("clip",),
    output=lambda params: Output("array", ("library",), "uint8", "1", False),
    compute=compute,
    shape=lambda params, clip: (3,),
)
