"""Time of TV-L1, in turn with OpenCV's default: one thread, and two processes on two cores."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import clips
from benchmarks.tables import Asked, Report, Row, Table
from benchmarks.timing import HEADER, Runs, rows, timed
from mepipe.ops import tvl1

TITLE = "Speed of TV-L1"
_TEXT = """\
One aligned demo clip (sensor noise, light that drifts), everything imported and compiled. The first row of a table is
OpenCV's default call for each pair, in one thread, on raw frames. First table: one thread each, times faster by
CPU time. Second: clips given to two processes, wall time."""
_OPENCV = "cv2 default, a call per pair"
_EXACT = "opencv preset, exact"
_RECIPE = "micro, clip, smoothed frames (recipe)"


def run(quick: bool = False) -> Report:
    """Two rounds when `quick`, else seven."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        known = clips.still(clips.spread(1)[2])
        rounds = 2 if quick else 7
        tables, asked = zip(_flow(known, rounds), _two_cores(known, rounds), strict=True)
    return Report(TITLE, _TEXT, tables, [one for some in asked for one in some])


def _flow(known: clips.Known, rounds: int) -> tuple[Table, list[Asked]]:
    chosen = clips.value(known.clip, "still.frames")
    amounts = known.amounts(chosen)[1:]
    raw = np.ascontiguousarray(known.frames[(chosen.position - known.truth.first).astype(int)])
    flows: dict[str, np.ndarray] = {}

    def opencv() -> None:
        made = [cv2.optflow.DualTVL1OpticalFlow_create().calc(raw[0], frame, None) for frame in raw[1:]]
        flows[_OPENCV] = np.stack(made).transpose(0, 3, 1, 2)

    runs: Runs = {_OPENCV: opencv}
    for name, frames, preset, mode in (
        (_EXACT, raw, "opencv", "exact"),
        ("opencv preset, clip", raw, "opencv", "clip"),
        ("micro, exact, smoothed frames", chosen.frames[..., 0], "micro", "exact"),
        (_RECIPE, chosen.frames[..., 0], "micro", "clip"),
    ):

        def ours(name: str = name, frames: np.ndarray = frames, preset: str = preset, mode: str = mode) -> None:
            flows[name] = tvl1.flow(frames[0], frames[1:], preset, mode)

        runs[name] = ours
    times = timed(runs, rounds)
    scores = {name: clips.score(found, known.peak, amounts) for name, found in flows.items()}
    apart = {name: float(np.hypot(*np.moveaxis(f - flows[_OPENCV], 1, 0)).mean()) for name, f in flows.items()}
    extra = {name: (s.relative, s.gain, apart[name]) for name, s in scores.items()}
    header = (*HEADER, "error relative to zero flow", "gain", "px from cv2")
    table = Table("Flow, onset -> 15 frames of 224 x 224", header, rows(times, extra))
    return table, [
        Asked(f"{_EXACT}: mean distance to cv2, px", apart[_EXACT], "<=", 0.015),
        Asked(f"{_RECIPE}: error over cv2's", scores[_RECIPE].relative / scores[_OPENCV].relative, "<=", 1.03),
    ]


def _two_cores(known: clips.Known, rounds: int) -> tuple[Table, list[Asked]]:
    """Clips given to two processes, against OpenCV's default, a call per pair, in one thread of this process."""
    chosen = clips.value(known.clip, "still.frames")
    raw = np.ascontiguousarray(known.frames[(chosen.position - known.truth.first).astype(int)])
    jobs = {_EXACT: (raw, "opencv", "exact", 1), _RECIPE: (chosen.frames[..., 0].copy(), "micro", "clip", 6)}
    walls: dict[str, list[float]] = {name: [] for name in (_OPENCV, *jobs)}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for count in range(rounds + 1):
            start = time.perf_counter()
            if count:
                for frame in raw[1:]:
                    cv2.optflow.DualTVL1OpticalFlow_create().calc(raw[0], frame, None)
            walls[_OPENCV].append(time.perf_counter() - start)
            for name, (frames, preset, mode, each) in jobs.items():
                start = time.perf_counter()
                list(pool.map(_solve, *zip(*[(frames, preset, mode, each)] * 2, strict=True)))
                walls[name].append((time.perf_counter() - start) / (2 * each))
    clip = {name: np.array(taken[1:]) for name, taken in walls.items()}  # the first round is for start-up and imports
    lines: list[Row] = []
    for name, taken in clip.items():
        ratio = clip[_OPENCV] / taken
        lines.append(
            (name, 1e3 * float(np.median(taken)), float(np.median(ratio)), f"{ratio.min():.3g}-{ratio.max():.3g}")
        )
    table = Table("The same on two cores, wall time", ("what", "ms per clip", "times faster", "range"), lines)
    return table, [
        Asked(f"{name}, two cores: times faster", float(np.median(clip[_OPENCV] / clip[name])), ">=", bound)
        for name, bound in ((_EXACT, 15), (_RECIPE, 60))
    ]


def _solve(frames: np.ndarray, preset: str, mode: str, times: int) -> None:
    cv2.setNumThreads(1)
    for _ in range(times):
        tvl1.flow(frames[0], frames[1:], preset, mode)
