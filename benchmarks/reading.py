"""Reading samples in shuffled order: the store's reader against np.memmap, Zarr's own, other codecs and HDF5."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import zarr
from zarr.codecs import BloscCodec

from benchmarks import clips
from benchmarks.tables import Asked, Report, Row, Table
from mepipe import store
from mepipe.store import layout
from mepipe.store.feature import Feature, digest
from mepipe.store.ledger import Record

TITLE = "Reading from the store"
_TEXT = """\
{count} samples of each kind, read in an order that is shuffled for each of {rounds} rounds; in a round each row reads
all samples in one loop, as a program does; everything in the page cache, one thread. Raw: a sample is copied into an
array that is there already. Loop: it becomes a new float32 tensor, is normalised to mean 0 and variance 1, and its mean
square is taken, about as much as the lightest trainer does. ms: median of wall time per sample, and of CPU time. Speed:
relative to np.memmap of one large .npy, median and range of the ratios within a round, by CPU time. Size: of what is
stored, relative to the values.

Flow is that of demo clips, as the recipe stores it; frames are aligned demo frames as float16 in 0..1, [16, 3, y, x].
`feature[i]` is the store: uncompressed chunks with a checksum, which is tested at the first reading (not timed), as it
is by training loops after the first epoch; `read` tests it every time. Zarr reads the same files."""
_HEADER = ("what", "raw, ms", "CPU", "speed", "range", "loop, ms", "CPU", "speed", "range", "size")
_MEMMAP, _OURS = "np.memmap", "feature[i]"

Read = Callable[[int], np.ndarray]


def run(quick: bool = False) -> Report:
    """Three rounds of eight samples when `quick`, else nine of 24."""
    count, rounds = (8, 3) if quick else (24, 9)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        made = _samples(count)
        tables, asked = [], []
        for name, values in made.items():
            with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as folder:
                table, wanted = _compare(name, values, Path(folder), rounds)
            tables.append(table)
            asked += wanted
        return Report(TITLE, _TEXT.format(count=count, rounds=rounds), [*tables, _halves(made["flow"])], asked)
    finally:
        torch.set_num_threads(threads)


def _samples(count: int) -> dict[str, np.ndarray]:
    """Flow float32 [sample, 15, 2, y, x] and frames float16 [sample, 16, 3, y, x], of demo clips; each clip serves as
    often as it takes, mirrored and upside down, which leaves what matters to a codec as it is."""
    found = [clips.aligned(*clips.rendered(spec)).clip for spec in clips.spread(1)[: max(1, count // 4)]]
    flows = np.stack([clips.value(clip, "flow.tvl1") for clip in found]).astype(np.float32)
    frames = np.stack([clips.value(clip, "still.frames").frames for clip in found]).transpose(0, 1, 4, 2, 3)
    views = (np.s_[:], np.s_[..., ::-1], np.s_[..., ::-1, :], np.s_[..., ::-1, ::-1])
    every = {"flow": flows, "frames": (frames / 255).astype(np.float16)}
    return {
        name: np.concatenate([np.concatenate([a[view] for view in views])] * count)[:count] for name, a in every.items()
    }


def _feature(values: np.ndarray, folder: Path) -> Feature:
    """The values in a store of their own."""
    opened = store.create(folder)
    ids = [f"s{index:03d}" for index in range(len(values))]
    snapshot = layout.create_snapshot(opened.place, "bench", [{"id": one, "frames": one} for one in ids])
    spec = layout.FeatureSpec(
        folder="values-00000000",
        dims=("frame", "channel", "y", "x"),
        shape=values.shape[1:],
        dtype=values.dtype.name,
        channels=(),
        positions=None,
        varying=False,
        attributes={"key": "0" * 64, "node": "values", "units": "1"},
    )
    layout.create_feature(opened.place, snapshot, ids, spec)
    feature = Feature(opened.place, f"{snapshot}/{spec.folder}")
    for one, array in zip(ids, values, strict=True):
        feature.write(one, array)
    records = [Record(i, "done", "", digest=digest(v)) for i, v in zip(ids, values, strict=True)]
    feature.ledger.append(records)
    return feature


def _readers(values: np.ndarray, folder: Path) -> dict[str, tuple[Read, int]]:
    """{name: (reader, bytes on the disk)}."""
    np.save(folder / "whole.npy", values)
    mapped = np.load(folder / "whole.npy", mmap_mode="c")  # else torch warns of arrays that cannot be written
    feature = _feature(values, folder / "store")
    chunk = (1, *values.shape[1:])
    plain = zarr.open_group(feature.place.root / feature.path, mode="r")["data"]  # type: ignore[attr-defined]
    size = _size(folder / "store" / feature.path / "data")
    found: dict[str, tuple[Read, int]] = {
        _MEMMAP: (mapped.__getitem__, values.nbytes),
        _OURS: (feature.__getitem__, size),
        "feature.read(i)": (feature.read, size),
        "np.load of a .npy each": (_files(values, folder), values.nbytes),
        "Zarr, the store's files": (_zarr(plain), size),
    }
    codecs: dict[str, Any] = {
        "Zarr, its defaults (zstd)": "auto",
        "Zarr, blosc-lz4, shuffle": BloscCodec(cname="lz4", shuffle="shuffle", typesize=values.itemsize),
        "Zarr, blosc-zstd, bitshuffle": BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=values.itemsize),
    }
    for name, codec in codecs.items():
        array = zarr.create_array(
            folder / name, shape=values.shape, chunks=chunk, dtype=values.dtype, compressors=codec
        )
        array[:] = values
        found[name] = (_zarr(array), _size(folder / name))
    options: dict[str, dict[str, Any]] = {
        "h5py, contiguous": {},
        "h5py, chunk = sample": {"chunks": chunk},
        "h5py, gzip 1 and shuffle": {"chunks": chunk, "compression": "gzip", "compression_opts": 1, "shuffle": True},
    }
    for name, option in options.items():
        file = h5py.File(folder / f"{name}.h5", "w")
        data = file.create_dataset("data", data=values, **option)
        file.flush()
        found[name] = (data.__getitem__, data.id.get_storage_size())
    return found


def _zarr(array: Any) -> Read:
    return lambda index: np.asarray(array[index])


def _files(values: np.ndarray, folder: Path) -> Read:
    for index, one in enumerate(values):
        np.save(folder / f"{index}.npy", one)
    return lambda index: np.asarray(np.load(folder / f"{index}.npy"))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _step(values: np.ndarray) -> torch.Tensor:
    sample = torch.from_numpy(values).to(torch.float32)
    return ((sample - sample.mean()) / sample.std()).square().mean()


def _compare(name: str, values: np.ndarray, folder: Path, rounds: int) -> tuple[Table, list[Asked]]:
    values = values.astype(np.float16)
    readers = _readers(values, folder)
    target = np.empty(values.shape[1:], values.dtype)
    uses = {"raw": lambda array: np.copyto(target, array), "loop": _step}
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(values)).tolist() for _ in range(rounds)]
    times = {use: _times(readers, call, orders) for use, call in uses.items()}
    rows: list[Row] = []
    for reader, (_, size) in readers.items():
        row: list[str | float] = [reader]
        for use in uses:
            wall, cpu = 1e3 * np.median(times[use][reader], axis=0)
            ratios = _ratios(times[use], reader)
            row += [float(wall), float(cpu), float(np.median(ratios)), f"{ratios.min():.2f}-{ratios.max():.2f}"]
        rows.append((*row, size / values.nbytes))
    asked = [
        Asked(f"{name}: {use}, feature[i] relative to np.memmap", float(np.median(_ratios(times[use], _OURS))), ">=", b)
        for use, b in (("loop", 0.95), ("raw", 0.7))
    ]
    shape = " x ".join(map(str, values.shape[1:]))
    return Table(f"{name.capitalize()}, {shape}, float16, {values[0].nbytes / 1e6:.1f} MB", _HEADER, rows), asked


def _times(
    readers: dict[str, tuple[Read, int]], use: Callable[[np.ndarray], object], orders: Sequence[Sequence[int]]
) -> dict[str, np.ndarray]:
    """Wall and CPU seconds per sample, float64 [rounds, 2]; every reader in turn, one round before uncounted."""
    turn = list(readers.items())
    taken = np.zeros((1 + len(orders), len(turn), 2))
    for number, order in enumerate([orders[0], *orders]):
        for place in range(len(turn)):
            which = (place + number) % len(turn)
            read = turn[which][1][0]
            wall, cpu = time.perf_counter(), time.process_time()
            for index in order:
                use(read(index))
            taken[number, which] = time.perf_counter() - wall, time.process_time() - cpu
    return {name: taken[1:, which] / len(orders[0]) for which, name in enumerate(readers)}


def _ratios(times: dict[str, np.ndarray], name: str) -> np.ndarray:
    return times[_MEMMAP][:, 1] / times[name][:, 1]


def _halves(flow: np.ndarray) -> Table:
    """What float16 costs in accuracy, and what lossless codecs would save instead."""
    from numcodecs import Blosc, Zstd

    error = flow.astype(np.float16).astype(np.float32) - flow
    codecs = {
        "zstd": Zstd(level=3).encode,
        "blosc-lz4, shuffle": Blosc("lz4", shuffle=Blosc.SHUFFLE).encode,
        "blosc-zstd, bitshuffle": Blosc("zstd", shuffle=Blosc.BITSHUFFLE).encode,
    }
    rows: list[Row] = []
    for dtype in (np.float32, np.float16):
        sizes = [sum(len(code(np.ascontiguousarray(one, dtype))) for one in flow) for code in codecs.values()]
        rms = float(np.sqrt(np.mean(error**2))) if dtype == np.float16 else 0.0
        most = float(np.abs(error).max()) if dtype == np.float16 else 0.0
        rows.append((np.dtype(dtype).name, np.dtype(dtype).itemsize / 4, *(s / flow.nbytes for s in sizes), rms, most))
    header = ("flow as", "plain", *codecs, "rms error, px", "largest, px")
    note = "Sizes relative to plain float32."
    return Table("Size of real flow, and what rounding it to float16 costs", header, rows, note)
