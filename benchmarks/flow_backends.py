"""All backends of flow in one table and one figure: against true motion, and against the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks import clips
from benchmarks.clips import Known, Score
from benchmarks.tables import Report, Row, Table
from mepipe import weights
from mepipe.clip import Clip
from mepipe.stages.flow import STAGE, FlowParams
from mepipe.view import colour

FIGURE = Path(__file__).parents[1] / "docs" / "flow_backends.png"
TITLE = "Flow backends"
_TEXT = """\
Onset -> apex of demo clips as in *Flow against truth*: without head motion, with sensor noise, the light drifting by up
to 2 %. Frames as the recipe has them, averaged over neighbours in time, and raw. Error is relative to what zero flow
scores inside the moving region, outside is in px. One thread, CPU time, every backend in turn on each clip; *faster*
is the median ratio to OpenCV's default call on the same clip. The demo's frames are grey: a network sees three equal
channels, and motion far smaller than it was trained on. A network without its weights on this machine
has no figures: random weights would give some, of nothing."""
_DEFAULT = "cv2 TV-L1, default call"

Method = Callable[[np.ndarray], np.ndarray]  # float32 [2, H, W, 3], RGB 0..255 -> [2, H, W]


@dataclass(frozen=True)
class Result:
    """One pair by one method: scores on averaged and on raw frames, and the CPU time of the former."""

    averaged: Score
    raw: Score
    seconds: float


def _stage(**given: str) -> Method:
    """The stage itself."""
    params = FlowParams.model_validate(given)

    def measure(pair: np.ndarray) -> np.ndarray:
        return STAGE.compute(Clip(pair, np.arange(2.0), clips.FPS, 0, 1, 1), params)[0]

    return measure


def _tvl1(pair: np.ndarray) -> np.ndarray:
    first, second = pair[..., 0] / np.float32(255)  # bytes, or floats in 0..1
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(first, second, None).transpose(2, 0, 1)


def _farneback(window: int) -> Method:
    def measure(pair: np.ndarray) -> np.ndarray:
        first, second = np.rint(pair[..., 0]).astype(np.uint8)
        return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, window, 3, 5, 1.2, 0).transpose(2, 0, 1)

    return measure


def _dis(pair: np.ndarray) -> np.ndarray:
    first, second = np.rint(pair[..., 0]).astype(np.uint8)
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None).transpose(2, 0, 1)


_NETWORKS = [name for name in FlowParams.model_json_schema()["properties"]["backend"]["enum"] if name != "tvl1"]
_METHODS: dict[str, Method] = {
    "tvl1, micro": _stage(),
    "tvl1, opencv": _stage(preset="opencv"),
    _DEFAULT: _tvl1,
    "cv2 Farneback, window 15": _farneback(15),
    "cv2 Farneback, window 31": _farneback(31),
    "cv2 DIS, medium": _dis,
    **{name: _stage(backend=name) for name in _NETWORKS},
}


def run(quick: bool = False) -> Report:
    """One clip for each group of action units when `quick`, else three, and the figure."""
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    here = {name: method for name, method in _METHODS.items() if name not in _NETWORKS or weights.find(name)}
    specs = clips.spread(1 if quick else 3)
    found: dict[str, list[Result]] = {name: [] for name in here}
    fields: dict[str, np.ndarray] = {}
    for spec in specs:
        known = clips.still(spec)
        averaged = clips.value(known.clip, "still.pair").frames
        raw = known.clip.frames[[0, known.truth.apex]].astype(np.float32)
        for name, method in here.items():
            if not found[name]:
                method(averaged)  # compile, load
            start = time.process_time()
            field = method(averaged)
            seconds = time.process_time() - start
            found[name].append(Result(_score(field, known), _score(method(raw), known), seconds))
            if spec is specs[0]:
                fields[name] = field
    if not quick:
        draw(clips.still(specs[0]).peak, fields, found)
    header = ("error, mean", "worst", "gain", "px outside", "error, raw", "gain, raw", "ms", "range", "faster")
    rows = [_row(name, found.get(name), found[_DEFAULT]) for name in _METHODS]
    note = "![Flow backends](flow_backends.png)"
    return Report(TITLE, f"{_TEXT} {len(specs)} clips.", [Table("All backends", ("backend", *header), rows, note)])


def _score(field: np.ndarray, known: Known) -> Score:
    return clips.score(field[None], known.peak, np.ones(1))


def _row(name: str, results: list[Result] | None, default: list[Result]) -> Row:
    if results is None:
        return (name, "no weights here", *[""] * 8)
    error = [result.averaged.relative for result in results]
    ms = [1000 * result.seconds for result in results]
    faster = [other.seconds / result.seconds for result, other in zip(results, default, strict=True)]
    return (
        name,
        float(np.mean(error)),
        max(error),
        float(np.mean([result.averaged.gain for result in results])),
        float(np.mean([result.averaged.outside for result in results])),
        float(np.mean([result.raw.relative for result in results])),
        float(np.mean([result.raw.gain for result in results])),
        float(np.median(ms)),
        f"{min(ms):.0f}-{max(ms):.0f}",
        float(np.median(faster)),
    )


def draw(truth: np.ndarray, fields: dict[str, np.ndarray], found: dict[str, list[Result]], path: Path = FIGURE) -> None:
    """The fields of one clip, and error against time for all clips."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = 4
    pictures = {"true motion": truth, **fields}
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(11, 2.6 * rows + 4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2.6 * rows, 4))
    scale = colour.robust_scale(truth, 0.1)
    axes = above.subplots(rows, columns).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, field) in zip(axes, pictures.items(), strict=False):
        axis.imshow(colour.flow_colours(field, scale))
        error = f"\nerror {found[name][0].averaged.relative:.2f}" if name in found else "\n"
        axis.set_title(f"{name}{error}", fontsize=9)
    colour.draw_wheel(axes[0], scale)
    axis = below.subplots()
    for name, results in found.items():
        ms = 1000 * float(np.median([result.seconds for result in results]))
        averaged = float(np.mean([result.averaged.relative for result in results]))
        raw = float(np.mean([result.raw.relative for result in results]))
        axis.plot([ms, ms], [averaged, raw], color="0.7", zorder=1)
        axis.scatter([ms], [averaged], color="#0072B2", zorder=2)
        axis.scatter([ms], [raw], facecolor="white", edgecolor="#0072B2", zorder=2)
        axis.annotate(name, (ms, averaged), xytext=(6, -3), textcoords="offset points", fontsize=8)
    axis.set(xscale="log", xlabel="CPU time, ms per pair of 224 x 224 px", ylabel="error relative to zero flow")
    axis.set_title("Mean over all clips; filled: averaged frames, hollow: raw", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_ylim(bottom=0)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=100)
