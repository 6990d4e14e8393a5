"""One thread per worker: clips, not pixels, are what runs in parallel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Read by the libraries when they are loaded, so they hold for those, too, that a task is the first to load.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


@contextmanager
def environment() -> Iterator[None]:
    """Processes that are started within have one thread for each library that counts threads by itself."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def hold() -> None:
    """One thread from now on, in a process that was started within `environment`."""
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    threadpool_limits(1)  # where a library was told otherwise by whoever loaded it
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


@contextmanager
def limited() -> Iterator[None]:
    """One thread within, in a process that is not a worker, of the libraries loaded so far."""
    import cv2
    from threadpoolctl import threadpool_limits

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)
