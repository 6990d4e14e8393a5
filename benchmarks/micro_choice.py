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
from mepipe.ops import sampling, tvl1

TITLE = "How the micro preset was chosen"
_TEXT = """\
The grid of `accuracy_grid`, on the two portraits as they are. Each row changes one thing in what was chosen; columns
as there: ours on smoothed frames, onset -> apex, against OpenCV's default on raw frames; and how the profile of mode
clip correlates with the true course. Of what does equally well, the quicker was chosen, and of what trades error inside
against error outside, what meets both. One draw of the noise: rows differ in less than a draw moves them, but all have
the same draw."""

PEOPLE = {"sharp": Person("hopper"), "soft": Person("astronaut")}
# One parameter at a time changed from what was chosen.
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"attachment": 0.2},
    {"attachment": 0.4},
    {"theta": 0.1},
    {"theta": 0.25},
    {"huber": 0.0},
    {"huber": 0.04},
    {"noise": 0.0},
    {"noise": 16.0},
    {"detail": 0.0},
    {"detail": 5.0},
    {"scales": 5, "scale_step": 0.8},
    {"warps": 2},
    {"warps": 5},
    {"inner": 20},
    {"inner": 60},
    {"mean_gradient": False},
    {"median": True},
)
# And the width of the smoothing in time, frames at 200 fps.
WIDTHS = (3.0, 5.0)


def run(quick: bool = False) -> Report:
    """Peaks of 1 px alone when `quick`."""
    chosen = grid.cells(PEOPLE, 7, (1.0,) if quick else grid.PEAKS)
    with ProcessPoolExecutor(2) as pool:
        tried = list(pool.map(_tried, chosen))
    changed = [", ".join(f"{key} {value}" for key, value in change.items()) for change in CHANGES]
    names = [name or "as chosen" for name in changed] + [f"smoothed by {5 * width:g} ms" for width in WIDTHS]
    rows = []
    for index, name in enumerate(names):
        profiles = [found[index][1] for found in tried]
        rows.append((name, *grid.summary([found[index][0]] for found in tried), np.mean(profiles), min(profiles)))
    header = ("preset micro", *grid.HEADER, "profile, mean", "profile, lowest")
    return Report(TITLE, f"{_TEXT} {len(chosen)} cells.", [Table("One change at a time", header, rows)], [])


def _tried(cell: Cell) -> list[tuple[tuple[Score, Score], float]]:
    """(ours, OpenCV's) of a cell, onset -> apex, and our profile, for each change."""
    cv2.setNumThreads(1)
    known = grid.known(cell)
    opencv = clips.score(grid.opencv(known), known.peak, np.ones(1))
    chosen, usual = tvl1.PRESETS["micro"], sampling.smoothing_width(200)
    tries = [(replace(chosen, **change), usual) for change in CHANGES] + [(chosen, width) for width in WIDTHS]
    found = []
    for preset, width in tries:
        frames = sampling.at(known.frames, np.append(grid.PLACES, grid.APEX), width)
        apex = clips.score(tvl1.flow(frames[0], frames[-1:], preset, "exact"), known.peak, np.ones(1))
        found.append(((apex, opencv), grid.profile(tvl1.flow(frames[0], frames[1:-1], preset), known)))
    return found
