"""Time of each stage, and its ratio to a named alternative that runs in turn with it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import clips, serial_script
from benchmarks.tables import Asked, Report, Row, Table
from mepipe import store
from mepipe.ops import eulerian, rank_pool, strain, tvl1
from mepipe.store import layout

TITLE = "Speed of each stage"
_TEXT = """\
One thread, one aligned demo clip, everything imported and compiled. The first row of a table is the alternative; all
rows run in turn, five times or more. ms: median of wall time per clip, and of CPU time of the process. Times faster:
median and range of the ratios within a round, by CPU time, which other programs on the machine disturb less."""
_HEADER = ("what", "ms", "ms, CPU", "times faster", "range")

Runs = dict[str, Callable[[], object]]


def run(quick: bool = False) -> Report:
    """Two rounds when `quick`, else five (nine where it costs little)."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        few, many = (2, 3) if quick else (5, 9)
        known = clips.still(clips.spread(1)[2])
        tables, asked = zip(
            _flow(known, few), _magnify(few), _strain(known, many), _pool(many), _align(few), _store(many), strict=True
        )
    return Report(TITLE, _TEXT, tables, [one for some in asked for one in some])


def _timed(runs: Runs, rounds: int) -> dict[str, np.ndarray]:
    """Wall and CPU milliseconds, float64 [rounds, 2], each run once in every round; once before, uncounted."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for run_once in runs.values():
        run_once()
    for _ in range(rounds):
        for name, run_once in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run_once()
            found[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: 1e3 * np.array(times) for name, times in found.items()}


def _rows(times: dict[str, np.ndarray], extra: Mapping[str, Row] | None = None) -> list[Row]:
    rows: list[Row] = []
    for name in times:
        ratios = _ratios(times, name)
        wall, cpu = np.median(times[name], axis=0)
        span = f"{ratios.min():.3g}-{ratios.max():.3g}"
        rows.append((name, float(wall), float(cpu), float(np.median(ratios)), span, *(extra or {}).get(name, ())))
    return rows


def _ratios(times: dict[str, np.ndarray], name: str) -> np.ndarray:
    return times[next(iter(times))][:, 1] / times[name][:, 1]


def _faster(times: dict[str, np.ndarray], name: str, bound: float) -> Asked:
    return Asked(f"{name}: times faster", float(np.median(_ratios(times, name))), ">=", bound)


def _flow(known: clips.Known, rounds: int) -> tuple[Table, list[Asked]]:
    chosen = clips.value(known.clip, "still.frames")
    amounts = known.amounts(chosen)[1:]
    gray = chosen.frames[..., 0]
    raw = np.ascontiguousarray(known.frames[(chosen.position - known.truth.first).astype(int)])
    flows: dict[str, np.ndarray] = {}

    def opencv() -> None:
        made = [cv2.optflow.DualTVL1OpticalFlow_create().calc(raw[0], frame, None) for frame in raw[1:]]
        flows["cv2 default, a call per pair"] = np.stack(made).transpose(0, 3, 1, 2)

    runs: Runs = {"cv2 default, a call per pair": opencv}
    for name, frames, preset, mode in (
        ("opencv preset, exact", raw, "opencv", "exact"),
        ("opencv preset, clip", raw, "opencv", "clip"),
        ("micro, exact", raw, "micro", "exact"),
        ("micro, clip", raw, "micro", "clip"),
        ("micro, clip, averaged frames (recipe)", gray, "micro", "clip"),
    ):

        def ours(name: str = name, frames: np.ndarray = frames, preset: str = preset, mode: str = mode) -> None:
            flows[name] = tvl1.flow(frames[0], frames[1:], preset, mode)

        runs[name] = ours
    times = _timed(runs, rounds)
    scores = {name: clips.score(found, known.peak, amounts) for name, found in flows.items()}
    cv2_flow = flows["cv2 default, a call per pair"]
    apart = {name: float(np.hypot(*np.moveaxis(f - cv2_flow, 1, 0)).mean()) for name, f in flows.items()}
    extra = {name: (s.relative, s.gain, apart[name]) for name, s in scores.items()}
    header = (*_HEADER, "error relative to zero flow", "gain", "px from cv2")
    return Table("Flow, onset -> 15 frames of 224 x 224", header, _rows(times, extra)), [
        _faster(times, "opencv preset, exact", 15),
        _faster(times, "micro, clip, averaged frames (recipe)", 60),
    ]


def _magnify(rounds: int) -> tuple[Table, list[Asked]]:
    spec = next(entry.spec for entry in clips.entries() if entry.spec.frames >= 60)
    frames = clips.still(spec).clip.frames[:60].astype(np.float32) / 255
    results: dict[str, np.ndarray] = {}

    def script() -> None:
        results["script"] = serial_script.magnify(frames, clips.FPS)

    def ours() -> None:
        results["ours"] = eulerian.magnify(frames, clips.FPS, causal=True)

    runs: Runs = {
        "pyramid and lfilter for each level": script,
        "magnify, causal (the same filter)": ours,
        "magnify, zero-phase (recipe)": lambda: eulerian.magnify(frames, clips.FPS),
        "magnify, causal, a gain per level": lambda: eulerian.magnify(frames, clips.FPS, gains=[1.0] * 5, causal=True),
    }
    times = _timed(runs, rounds)
    apart = 255 * float(np.abs(results["ours"] - results["script"]).max())
    table = Table("Eulerian magnification, 60 frames of 224 x 224 x 3", _HEADER, _rows(times))
    return table, [
        _faster(times, "magnify, causal (the same filter)", 5),
        Asked("magnify, causal: largest difference, grey levels", apart, "<=", 0.01),
    ]


def _strain(known: clips.Known, rounds: int) -> tuple[Table, list[Asked]]:
    from scipy.ndimage import sobel

    flow = clips.value(known.clip, "flow.tvl1")

    def meb() -> None:
        """As MEB's tools/extract_optical_flow.py, with scipy's Sobel filter for skimage's."""
        for u, v in flow:
            uy, ux, vy, vx = (sobel(plane, axis, mode="constant") for plane in (u, v) for axis in (0, 1))
            np.sqrt(uy**2 + vx**2 + 0.5 * (ux**2 + vy**2))

    times = _timed({"Sobel, as MEB": meb, "strain (recipe)": lambda: strain.strain(flow)}, rounds)
    table = Table("Strain, 15 fields of 224 x 224", _HEADER, _rows(times))
    return table, [_faster(times, "strain (recipe)", 4)]


def _pool(rounds: int) -> tuple[Table, list[Asked]]:
    frames = np.random.default_rng(0).integers(0, 256, (60, 224, 224, 3), dtype=np.uint8)
    runs: Runs = {
        "reading the frames (their sum)": lambda: frames.sum(),
        "converting them to float32": lambda: frames.astype(np.float32),
        "rank pooling": lambda: rank_pool.rank_pool(frames),
        "rank pooling, script": lambda: serial_script.rank_pool(frames),
    }
    times = _timed(runs, rounds)
    slower = float(np.median(1 / _ratios(times, "rank pooling")))
    table = Table("Rank pooling, 60 frames of 224 x 224 x 3, uint8", _HEADER, _rows(times))
    return table, [Asked("rank pooling: time, relative to reading its input", slower, "<=", 2.0)]


def _align(rounds: int) -> tuple[Table, list[Asked]]:
    frames, truth = clips.rendered(clips.spread(1)[2])
    pairs = list(zip(truth.numbers.tolist(), frames, strict=True))
    runs: Runs = {
        "landmarks and a crop on every frame": lambda: [clips.place([pair], stabilise=False) for pair in pairs],
        "landmarks alone on every frame": lambda: [clips.mesh()(frame) for frame in frames],
        "align (recipe)": lambda: clips.place(pairs, stabilise=True),
        "align, not stabilised": lambda: clips.place(pairs, stabilise=False),
    }
    times = _timed(runs, rounds)
    size = f"{len(frames)} frames of {frames.shape[2]} x {frames.shape[1]}"
    return Table(f"Alignment, {size}", _HEADER, _rows(times), "MediaPipe keeps threads of its own."), []


def _store(rounds: int) -> tuple[Table, list[Asked]]:
    count, shape = 20, (15, 2, 224, 224)
    values = np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float16)
    ids = [f"s{index:02d}" for index in range(count)]
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        place = store.create(Path(name) / "store")
        snapshot = layout.create_snapshot(place.root, "bench", [{"id": one, "frames": one} for one in ids])
        spec = layout.FeatureSpec(
            folder="flow-00000000",
            dims=("frame", "channel", "y", "x"),
            shape=shape,
            dtype="float16",
            channels=("u", "v"),
            positions=None,
            varying=False,
            attributes={"units": "px"},
        )
        layout.create_feature(place.root, snapshot, ids, spec)
        feature = place.feature(f"{snapshot}/{spec.folder}")
        whole = Path(name) / "whole.npy"

        def save() -> None:
            for one, array in zip(ids, values, strict=True):
                np.save(Path(name) / f"{one}.npy", array)

        def write() -> None:
            for one, array in zip(ids, values, strict=True):
                feature.write(one, array)

        np.save(whole, values)
        mapped = np.load(whole, mmap_mode="r")
        runs: Runs = {
            "write: np.save, not flushed": save,
            "write: store (checksum, digest, flushed)": write,
            "read: np.memmap": lambda: [np.array(mapped[index]) for index in range(count)],
            "read: np.load": lambda: [np.load(Path(name) / f"{one}.npy") for one in ids],
            "read: store (checksum tested)": lambda: [feature.read(index) for index in range(count)],
        }
        times = {what: taken / count for what, taken in _timed(runs, rounds).items()}
    megabytes = values[0].nbytes / 1e6
    rows = []
    for what, taken in times.items():
        wall, cpu = np.median(taken, axis=0)
        rows.append((what, float(wall), float(cpu), 1e3 * megabytes / float(wall)))
    return Table(f"Store, samples of {megabytes:.1f} MB", ("what", "ms", "ms, CPU", "MB/s"), rows), []
