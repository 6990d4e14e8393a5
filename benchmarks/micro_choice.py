"""How the `micro` preset was chosen: its parameters, one changed at a time, over the grid on the two portraits."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from benchmarks import accuracy_grid as grid
from benchmarks import clips
from benchmarks.accuracy_grid import Cell
from benchmarks.clips import Score
from benchmarks.tables import Report, Table
from mepipe.datasets.demo.portraits import Person
from mepipe.ops import tvl1

TITLE = "How the micro preset was chosen"
_TEXT = """\
The grid of `accuracy_grid`, on the two portraits as they are. Each row changes one thing in what was chosen; columns
as there: ours on smoothed frames, onset -> apex, against OpenCV's default on raw frames. Of what does equally well, the
quicker was chosen, and of what trades error inside against error outside, what meets both."""

PEOPLE = {"sharp": Person("hopper"), "soft": Person("astronaut")}
# One parameter at a time changed from what was chosen.
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"attachment": 0.15},
    {"attachment": 0.4},
    {"theta": 0.15},
    {"theta": 0.4},
    {"huber": 0.0},
    {"huber": 0.05},
    {"detail": 0.0},
    {"detail": 5.0},
    {"scales": 3, "scale_step": 0.5},
    {"warps": 2},
    {"warps": 6},
    {"inner": 15},
    {"inner": 60},
    {"mean_gradient": False},
    {"median": True},
)


def run(quick: bool = False) -> Report:
    """Peaks of 1 px alone when `quick`."""
    chosen = grid.cells(PEOPLE, 7, (1.0,) if quick else grid.PEAKS)
    with ProcessPoolExecutor(2) as pool:
        tried = list(pool.map(_tried, chosen))
    rows = []
    for index, change in enumerate(CHANGES):
        name = ", ".join(f"{key} {value}" for key, value in change.items()) or "as chosen"
        rows.append((name, *grid.summary([cell[index]] for cell in tried)))
    table = Table("One change at a time", ("preset micro", *grid.HEADER), rows)
    return Report(TITLE, f"{_TEXT} {len(chosen)} cells.", [table], [])


def _tried(cell: Cell) -> list[tuple[Score, Score]]:
    """(ours, OpenCV's) of a cell, onset -> apex, for each change."""
    cv2.setNumThreads(1)
    known = grid.known(cell)
    opencv = clips.score(grid.opencv(known), known.peak, np.ones(1))
    first, second = grid.smoothed(known.frames, [0, grid.APEX], 200)
    presets = [replace(tvl1.PRESETS["micro"], **change) for change in CHANGES]
    flows = [tvl1.flow(first, second[None], preset, "exact") for preset in presets]
    return [(clips.score(flow, known.peak, np.ones(1)), opencv) for flow in flows]
