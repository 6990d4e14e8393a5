"""A store of a million samples: how long `status` and `store ls` take, and how much memory."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tables import Asked, Report, Row, Table
from mepipe import store
from mepipe.store import layout
from mepipe.store.ledger import MERGE_ABOVE, Record

TITLE = "A million samples"
_TEXT = """\
Snapshot, metadata and ledgers of a store of three features; no data. The ledgers are as extraction leaves them: records
come one by one and are merged on the way (their first two mergings are simulated: {batch} records at a time; the last
{batch} come singly and are not merged). One sample in a thousand has failed. Each command runs in a process of its own,
three times; the fastest counts, since other programs on the machine disturb, and the largest memory."""
_NODES = ("flow.tvl1", "strain", "rank-pool")
_BATCH = (MERGE_ABOVE + 1) ** 2
# A small process starts the command: what the system says of its memory is at least that of who started it.
_METER = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)
"""
_SECONDS, _MEGABYTES = 5.0, 500.0


def run(quick: bool = False) -> Report:
    """A million samples; ten thousand when `quick`."""
    count = 10_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        root = Path(name) / "features.zarr"
        start = time.process_time()
        make(root, count)
        made = time.process_time() - start
        segments = len(list(root.glob("*/*/ledger/*.jsonl")))
        size = sum(p.stat().st_size for p in root.glob("*/*/ledger/*.jsonl"))
        rows: list[Row] = []
        asked = []
        for command in (("status",), ("store", "ls"), ("store", "ls", "--json")):
            seconds, cpu, megabytes = _measure([*command, "--store", str(root)])
            what = "mepipe " + " ".join(command)
            rows.append((what, seconds, cpu, megabytes))
            if command[-1] != "--json":
                asked.append(Asked(f"{what}: s", seconds, "<=", _SECONDS))
                asked.append(Asked(f"{what}: MB", megabytes, "<=", _MEGABYTES))
    note = f"{segments} segments, {size / 1e6:.0f} MB; made in {made:.0f} s."
    table = Table(f"{count} samples x {len(_NODES)} features", ("command", "s", "s, CPU", "MB"), rows, note)
    return Report(TITLE, _TEXT.format(batch=_BATCH), [table], asked)


def make(root: Path, count: int) -> None:
    """A store of so many samples of each node, without data."""
    opened = store.create(root)
    ids = [f"{i // 1000:04d}_{i % 1000:03d}" for i in range(count)]
    rows = [
        {"id": s, "subject": s[:4], "clip": f"{s[:4]}/{s}", "onset": 10, "apex": 40, "offset": 90, "fps": 200.0}
        | {"emotion": "happiness", "aus": "AU12", "note": "", "frames": f"{i:032x}"}
        for i, s in enumerate(ids)
    ]
    snapshot = layout.create_snapshot(opened.place, "bench", rows)
    folders = {node: f"{node}-{i:08x}" for i, node in enumerate(_NODES)}
    for node, folder in folders.items():
        layout.create_feature(opened.place, snapshot, ids, _spec(node, folder))
    first, *others = (root / snapshot / folder / "ledger" for folder in folders.values())
    _fill(opened.feature(f"{snapshot}/{folders[_NODES[0]]}"), ids)
    for ledger in others:
        shutil.copytree(first, ledger, dirs_exist_ok=True)
    opened.set_ref("bench", "features", snapshot, folders)


def _spec(node: str, folder: str) -> layout.FeatureSpec:
    attributes = {"key": folder[-8:] * 8, "node": node, "stage": node, "version": 1, "params": {}, "units": "px"}
    return layout.FeatureSpec(
        folder=folder,
        dims=("frame", "channel", "y", "x"),
        shape=(15, 2, 224, 224),
        dtype="float16",
        channels=("u", "v"),
        positions=None,
        varying=False,
        attributes=attributes | {"lineage": "source", "reads": ["onset", "offset"], "shows_face": False},
    )


def _fill(feature: store.Feature, ids: list[str]) -> None:
    rng = random.Random(0)
    known = [_record(rng, i, sample) for i, sample in enumerate(ids)]
    single = len(known) - _BATCH
    for start in range(0, single, _BATCH):
        feature.ledger.append(known[start : min(start + _BATCH, single)])
        feature.ledger.merge()
    for record in known[single:]:
        feature.ledger.append([record])


def _record(rng: random.Random, index: int, sample: str) -> Record:
    about: dict[str, Any] = {"seconds": round(rng.random(), 4), "host": "bench", "time": 1.8e9 + rng.random() * 1e6}
    fingerprint = f"{rng.getrandbits(128):032x}"
    if index % 1000 == 999:
        return Record(sample, "failed", fingerprint, turn=1, reason="align: no face in the onset frame.", **about)
    return Record(sample, "done", fingerprint, turn=1, digest=f"{rng.getrandbits(128):032x}", **about)


def _measure(arguments: list[str]) -> tuple[float, float, float]:
    """Seconds, of them those of the processor, and megabytes at most, of a mepipe command in a process of its own."""
    runs = []
    for _ in range(3):
        command = [sys.executable, "-c", _METER, sys.executable, "-m", "mepipe", *arguments]
        status, *used = map(float, subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())
        if status not in (0, 1):
            msg = f"mepipe {' '.join(arguments)} ended with {status:.0f}"
            raise RuntimeError(msg)
        runs.append(used)
    seconds, cpu, megabytes = zip(*runs, strict=True)
    return min(seconds), min(cpu), max(megabytes)
