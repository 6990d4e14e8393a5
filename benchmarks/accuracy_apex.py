"""Apex spotting against the demo's true apex, which is hidden from it: by movement, disturbance and action units."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import clips, disturbed
from benchmarks.clips import Known
from benchmarks.tables import Asked, Report, Row, Table
from mepipe.datasets.demo.render import ClipSpec
from mepipe.ops import apex, sampling, tvl1

TITLE = "Apex spotting"
FIGURE = Path(__file__).parents[1] / "docs" / "apex.png"
_TEXT = """\
Demo clips as `align` gives them (200 fps; head motion, sensor noise, light drifting by 2 %), whose apex is hidden;
error in frames (5 ms) of the frame that `spot-apex` names. A blink closes both eyes once, at a random moment; a head
that turns does so out of the picture's plane, 0.5 degrees both ways (standard deviation). Share and peak are what the
stage gives beside the frame: the main motion's share of all motion, and its size."""
_OURS = "peak of the main motion"
_STILL = "no expression: noise, head, light"
_STILL_BLINK = "no expression, but a blink"
# What is changed of each clip, and who renders it.
_GROUPS: dict[str, tuple[dict[str, Any], Callable]] = {
    "0.5 px": ({"peak": 0.5}, clips.rendered),
    "1 px": ({"peak": 1.0}, clips.rendered),
    "2 px": ({"peak": 2.0}, clips.rendered),
    "3 px": ({"peak": 3.0}, clips.rendered),
    "1 px, noise twice": ({"peak": 1.0, "noise": 2.0}, clips.rendered),
    "1 px, light drifts by 10 %": ({"peak": 1.0, "drift": 0.1}, clips.rendered),
    "1 px, head moves twice as far": ({"peak": 1.0, "head_motion": 2.0}, clips.rendered),
    "1 px, head turns": ({"peak": 1.0}, disturbed.turning),
    "1 px, blink": ({"peak": 1.0}, disturbed.blinking),
    "0.5 px, blink": ({"peak": 0.5}, disturbed.blinking),
}
_NOTHING: dict[str, tuple[dict[str, Any], Callable]] = {
    _STILL: ({"peak": 1e-4}, clips.rendered),
    _STILL_BLINK: ({"peak": 1e-4}, disturbed.blinking),
}
_QUICK = ("0.5 px", "3 px", "1 px, blink")


@dataclass(frozen=True)
class Trial:
    """One clip, and the error of each method in frames. cost: CPU time, of that of the recipe's flow."""

    group: str
    units: str
    errors: dict[str, int]
    spotted: apex.Spotted
    cost: float


def run(quick: bool = False) -> Report:
    """One clip for each group of action units and three groups when `quick`, else two and all."""
    cv2.setNumThreads(1)
    specs = clips.spread(1 if quick else 2)
    groups = {name: _GROUPS[name] for name in (_QUICK if quick else _GROUPS)}
    trials = [_trial(name, spec, *how) for name, how in groups.items() for spec in specs]
    still = [] if quick else [_trial(name, spec, *how) for name, how in _NOTHING.items() for spec in specs[::2]]
    if not quick:
        draw(specs)
    errors = np.abs([trial.errors[_OURS] for trial in trials])
    header = ("clips", "median", "95 %", "worst", "lowest share", "lowest peak, px")
    units = sorted({trial.units for trial in trials})
    methods = [(name, *_spread([t.errors[name] for t in trials])) for name in trials[0].errors]
    return Report(
        TITLE,
        f"{_TEXT} {len(trials)} clips. CPU time of a clip, of that of the recipe's flow "
        f"(onset -> 15 frames): {np.median([t.cost for t in trials]):.2f} (median).",
        [
            Table(
                "By clip",
                ("largest motion", *header),
                [(n, *_row([t for t in trials if t.group == n])) for n in groups],
                "![Motion curves](apex.png)",
            ),
            Table(
                "By action units", ("moving", *header), [(u, *_row([t for t in trials if t.units == u])) for u in units]
            ),
            Table("Methods, all clips", ("frame with the", "clips", "median", "95 %", "worst"), methods),
            *_nothing(still),
        ],
        [
            Asked("error, frames at 200 fps, median", float(np.median(errors)), "<=", 2),
            Asked("error, frames at 200 fps, 95th percentile", float(np.percentile(errors, 95)), "<=", 8),
        ],
    )


def _trial(group: str, spec: ClipSpec, changes: dict[str, Any], render: Callable) -> Trial:
    changed = replace(spec, **changes)
    known = clips.aligned(*render(changed))
    start = time.process_time()
    spotted = apex.spot(known.frames, known.landmarks, clips.FPS)
    between = time.process_time()
    clips.value(known.clip, "flow.tvl1")
    cost = (between - start) / (time.process_time() - between)
    divided = apex.spot(known.frames, known.landmarks, clips.FPS, "divide-and-conquer")
    found = {_OURS: spotted.apex, "the same, by divide and conquer": divided.apex, **_plain(known)}
    errors = {name: round(index) - changed.apex for name, index in found.items()}
    return Trial(group, clips.group(spec), errors, spotted, cost)


def _plain(known: Known) -> dict[str, float]:
    """What scripts do, on all of the crop: the largest mean flow (16 frames, as for ours), the largest difference to
    the onset (every frame), the middle of the clip."""
    count = len(known.frames)
    where = np.floor(np.linspace(0, count - 1, min(count, 16)) + 0.5)
    few = sampling.at(known.frames, where, sampling.smoothing_width(clips.FPS))
    flow = tvl1.flow(few[0], few[1:])
    difference = np.abs(known.frames.astype(np.float32) - known.frames[0]).mean(axis=(1, 2))
    return {
        "largest mean flow": where[1 + np.hypot(flow[:, 0], flow[:, 1]).mean(axis=(1, 2)).argmax()],
        "largest difference to the onset": float(difference.argmax()),
        "middle of the clip": (count - 1) / 2,
    }


def _spread(errors: list[int]) -> tuple[int, float, float, int]:
    size = np.abs(errors)
    return len(size), float(np.median(size)), float(np.percentile(size, 95)), int(size.max())


def _row(trials: list[Trial]) -> Row:
    lowest = (min(t.spotted.share for t in trials), min(t.spotted.peak for t in trials))
    return (*_spread([t.errors[_OURS] for t in trials]), *lowest)


def _nothing(trials: list[Trial]) -> list[Table]:
    """How a clip without an expression shows: `manifest spot` calls it doubtful."""
    rows = []
    for name in dict.fromkeys(t.group for t in trials):
        mine = [t.spotted for t in trials if t.group == name]
        rows.append((name, len(mine), max(s.share for s in mine), max(s.peak for s in mine)))
    return [Table("Where there is none", ("clips", "count", "highest share", "highest peak, px"), rows)] if rows else []


def draw(specs: list[ClipSpec], path: Path = FIGURE) -> None:
    """Where motion counts on a face, and the curves of three clips with a blink beside their true course."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.3), width_ratios=(1, 1.4, 1.4, 1.4))
    for axis, spec in zip(axes[1:], specs[:: len(specs) // 3], strict=False):
        known = clips.aligned(*disturbed.blinking(replace(spec, peak=0.5)))
        found = apex.spot(known.frames, known.landmarks, clips.FPS)
        axis.plot(known.truth.course * found.peak, color="0.65", lw=4, label="true course")
        axis.plot(found.at, found.curve, ".-", color="#0072B2", label="motion curve, px")
        axis.axvline(spec.apex, color="0.65", ls=":")
        axis.axvline(found.apex, color="#D55E00", lw=1, label="spotted")
        axis.set_title(f"AU{spec.aus}, 0.5 px, with a blink: {round(found.apex) - spec.apex:+d} frames", fontsize=10)
        axis.set_xlabel("frames since onset (200 fps)")
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].legend(frameon=False, fontsize=8)
    counts = apex.regions(known.landmarks, known.frames.shape[1:])
    axes[0].imshow(np.where(counts, known.frames[0], 0.35 * known.frames[0]), cmap="gray", vmin=0, vmax=255)
    axes[0].set_title("where motion counts", fontsize=10)
    axes[0].set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
