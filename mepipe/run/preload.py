"""Worker processes that need not import what another has imported: a server loads it once, and forks.

The server starts from a fresh interpreter, loads modules and makes nothing else, so that what it forks has neither
threads nor graphs of its parent's. It begins while the run is still being planned. Where there is no such server
(Windows), or it may not fork safely (macOS), workers start from nothing, as they do unless `start` was called.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections.abc import Iterable
from multiprocessing.context import BaseContext

from mepipe.run import threads

# What every worker needs, whatever it computes.
_ALWAYS = ("mepipe.run.uncollected", "mepipe.run.task", "cv2", "threadpoolctl")

_context: BaseContext = multiprocessing.get_context("spawn")


def start(modules: Iterable[str]) -> None:
    """Begin to load modules, in the background, for the workers that this process will start.

    For a command, at its beginning: workers see the environment of that moment. Again it does nothing.
    """
    global _context
    if sys.platform != "linux":
        return
    from multiprocessing import forkserver

    _context = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload([*_ALWAYS, *dict.fromkeys(modules)])
    with threads.environment():
        forkserver.ensure_running()


def settle() -> None:
    """For a worker that has loaded what it needs: garbage is collected from now on, and what is there left alone."""
    gc.freeze()
    gc.enable()


def context() -> BaseContext:
    """How worker processes are started."""
    return _context
