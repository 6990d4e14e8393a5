"""Look-alike releases for tests of adapters, which never decode: folders, names and sheets as the demo writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mepipe.datasets.demo import plan
from mepipe.datasets.demo.faults import Fault
from mepipe.datasets.demo.plan import Entry
from mepipe.datasets.demo.writer import layout_module


def make(
    layout: str, root: Path, subjects: int = 4, clips: int = 4, seed: int = 1, faults: bool = False
) -> tuple[list[Entry], list[Fault]]:
    """A release with small black frames instead of rendered ones: its clips, and the faults that were planted."""
    module = layout_module(layout)
    entries = module.adapt(plan.entries(subjects, clips, seed, module.FPS))
    for entry in entries:
        frames = np.zeros((entry.spec.frames, 8, 8), np.uint8)
        module.write_frames(root, entry, frames)
    return entries, module.write_sheets(root, entries, faults)
