"""How many processors there are for this process."""

from __future__ import annotations

import os


def available() -> int:
    """Cores that this process may use: of the machine, or of its share where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
