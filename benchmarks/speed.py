"""Time of each stage, and its ratio to a named alternative that runs in turn with it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import clips, serial_script
from benchmarks.tables import Asked, Report, Table
from benchmarks.timing import HEADER, Runs, faster, ratios, rows, timed
from mepipe import store
from mepipe.ops import eulerian, rank_pool, strain
from mepipe.store import layout

TITLE = "Speed of each stage"
_TEXT = """\
One thread, one aligned demo clip, everything imported and compiled. The first row of a table is the alternative; all
rows run in turn, five times or more. ms: median of wall time per clip, and of CPU time of the process. Times faster:
median and range of the ratios within a round, by CPU time, which other programs on the machine disturb less."""


def run(quick: bool = False) -> Report:
    """Two rounds when `quick`, else five (nine where it costs little)."""
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        few, many = (2, 3) if quick else (5, 9)
        known = clips.still(clips.spread(1)[2])
        found = (_magnify(few), _strain(known, many), _pool(many), _align(few), _store(many))
    tables, asked = zip(*found, strict=True)
    return Report(TITLE, _TEXT, tables, [one for some in asked for one in some])


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
    times = timed(runs, rounds)
    apart = 255 * float(np.abs(results["ours"] - results["script"]).max())
    table = Table("Eulerian magnification, 60 frames of 224 x 224 x 3", HEADER, rows(times))
    return table, [
        faster(times, "magnify, causal (the same filter)", 5),
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

    times = timed({"Sobel, as MEB": meb, "strain (recipe)": lambda: strain.strain(flow)}, rounds)
    table = Table("Strain, 15 fields of 224 x 224", HEADER, rows(times))
    return table, [faster(times, "strain (recipe)", 4)]


def _pool(rounds: int) -> tuple[Table, list[Asked]]:
    frames = np.random.default_rng(0).integers(0, 256, (60, 224, 224, 3), dtype=np.uint8)
    runs: Runs = {
        "reading the frames (their sum)": lambda: frames.sum(),
        "converting them to float32": lambda: frames.astype(np.float32),
        "rank pooling": lambda: rank_pool.rank_pool(frames),
        "rank pooling, script": lambda: serial_script.rank_pool(frames),
    }
    times = timed(runs, rounds)
    slower = float(np.median(1 / ratios(times, "rank pooling")))
    table = Table("Rank pooling, 60 frames of 224 x 224 x 3, uint8", HEADER, rows(times))
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
    times = timed(runs, rounds)
    size = f"{len(frames)} frames of {frames.shape[2]} x {frames.shape[1]}"
    return Table(f"Alignment, {size}", HEADER, rows(times), "MediaPipe keeps threads of its own."), []


def _store(rounds: int) -> tuple[Table, list[Asked]]:
    count, shape = 20, (15, 2, 224, 224)
    values = np.random.default_rng(0).standard_normal((count, *shape)).astype(np.float16)
    ids = [f"s{index:02d}" for index in range(count)]
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        opened = store.create(Path(name) / "store")
        snapshot = layout.create_snapshot(opened.place, "bench", [{"id": one, "frames": one} for one in ids])
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
        layout.create_feature(opened.place, snapshot, ids, spec)
        feature = opened.feature(f"{snapshot}/{spec.folder}")
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
        times = {what: taken / count for what, taken in timed(runs, rounds).items()}
    megabytes = values[0].nbytes / 1e6
    lines = []
    for what, taken in times.items():
        wall, cpu = np.median(taken, axis=0)
        lines.append((what, float(wall), float(cpu), 1e3 * megabytes / float(wall)))
    return Table(f"Store, samples of {megabytes:.1f} MB", ("what", "ms", "ms, CPU", "MB/s"), lines), []
