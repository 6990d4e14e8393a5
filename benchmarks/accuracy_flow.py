"""Optical flow against the demo's true motion: the recipe, its parts, and OpenCV's default."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from benchmarks import clips
from benchmarks.clips import Known, Score
from benchmarks.tables import Asked, Report, Row, Table
from mepipe.ops import tvl1

TITLE = "Flow against truth"
RECIPE, RECIPE_PAIR = "recipe: onset -> 15 frames", "recipe: onset -> apex"
_TEXT = """\
Demo clips without head motion, with sensor noise (standard deviation sqrt(2² + 0.02 x grey level)) and a drift of the
light of up to 2 %, cropped as `align` crops them. Error is mean end-point error inside the moving region (true motion
above 20 % of its peak) relative to what zero flow scores; gain is the projection on the truth. *Averaged* frames are
those of the recipe's `denoise`; all but the first row are onset -> apex."""


def _pair(known: Known, node: str) -> tuple[np.ndarray, np.ndarray]:
    """Onset and apex in gray, float32 [224, 224]: raw from `align`, or from a node that gives the two."""
    if node == "align":
        return known.frames[0].astype(np.float32), known.frames[known.truth.apex].astype(np.float32)
    first, second = clips.value(known.clip, node).frames[..., 0]
    return first, second


def _tvl1(node: str, preset: str) -> Callable[[Known], Score]:
    def measure(known: Known) -> Score:
        onset, apex = _pair(known, node)
        return clips.score(tvl1.flow(onset, apex[None], preset, "exact"), known.peak, np.ones(1))

    return measure


def _opencv(node: str) -> Callable[[Known], Score]:
    def measure(known: Known) -> Score:
        # OpenCV takes bytes, or floats in 0..1.
        onset, apex = (frame / np.float32(255) for frame in _pair(known, node))
        found = cv2.optflow.DualTVL1OpticalFlow_create().calc(onset, apex, None)
        return clips.score(found.transpose(2, 0, 1)[None], known.peak, np.ones(1))

    return measure


def _recipe(known: Known) -> Score:
    found = clips.value(known.clip, "flow.tvl1")
    return clips.score(found, known.peak, known.amounts(clips.value(known.clip, "still.frames"))[1:])


def _recipe_pair(known: Known) -> Score:
    return clips.score(clips.value(known.clip, "flow.apex"), known.peak, np.ones(1))


_SETTINGS: dict[str, Callable[[Known], Score]] = {
    RECIPE: _recipe,
    RECIPE_PAIR: _recipe_pair,
    "micro, raw frames": _tvl1("align", "micro"),
    "opencv preset, averaged frames": _tvl1("still.pair", "opencv"),
    "opencv preset, raw frames": _tvl1("align", "opencv"),
    "cv2 default, averaged frames": _opencv("still.pair"),
    "cv2 default, raw frames": _opencv("align"),
}
_QUICK = (RECIPE, RECIPE_PAIR)


def run(quick: bool = False) -> Report:
    """One clip for each group of action units when `quick`, else three."""
    cv2.setNumThreads(1)
    specs = clips.spread(1 if quick else 3)
    names = _QUICK if quick else tuple(_SETTINGS)
    found = {name: [_SETTINGS[name](clips.still(spec)) for spec in specs] for name in names}
    groups = [clips.group(spec) for spec in specs]
    by_unit: list[Row] = []
    for unit in dict.fromkeys(groups):
        mine = [k for k, name in enumerate(groups) if name == unit]
        by_unit.append((unit, len(mine), *_row([found[RECIPE][k] for k in mine])))
    header = ("error, mean", "worst", "gain, mean", "lowest", "px inside", "px outside")
    return Report(
        TITLE,
        f"{_TEXT} {len(specs)} clips.",
        [
            Table("All settings", ("setting", *header), [(name, *_row(scores)) for name, scores in found.items()]),
            Table("The recipe, by action units", ("moving", "clips", *header), by_unit),
        ],
        [asked for name in _QUICK for asked in _asked(name, found[name])],
    )


def _row(scores: list[Score]) -> tuple[float, ...]:
    relative, gain = [s.relative for s in scores], [s.gain for s in scores]
    return (
        float(np.mean(relative)),
        max(relative),
        float(np.mean(gain)),
        min(gain),
        float(np.mean([s.inside for s in scores])),
        float(np.mean([s.outside for s in scores])),
    )


def _asked(name: str, scores: list[Score]) -> list[Asked]:
    error, worst, gain, lowest, *_ = _row(scores)
    return [
        Asked(f"{name}: error relative to zero flow, mean", error, "<=", 0.30),
        Asked(f"{name}: error relative to zero flow, worst clip", worst, "<=", 0.30),
        Asked(f"{name}: gain, mean", gain, ">=", 0.75),
        Asked(f"{name}: gain, lowest clip", lowest, ">=", 0.75),
    ]
