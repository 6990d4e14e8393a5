"""make scale: what ten thousand, a million and a hundred million clips cost, from what a few cost here.

python -m benchmarks.scale [--tasks 100000] [--quick]
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import executors as bench
from benchmarks import tables
from benchmarks.tables import Report, Row, Table
from mepipe import store
from mepipe.datasets import demo, manifest
from mepipe.recipe.model import load
from mepipe.recipe.resolve import resolve
from mepipe.run import cluster, executors, plan
from mepipe.run.plan import Plan, Task

TITLE = "Scale"
SIZES = (10_000, 1_000_000, 100_000_000)
_TEXT = """\
Measured on {clips} demo clips of {frames} frames on average, recipe `features`, one process: processor time, bytes,
objects, and the calls that change or look up names (what a network file system answers by a request each; looks at
single files, `stat`, come on top). The table is these figures times the number of clips, but for ledger segments, which
are merged on the way (docs/architecture.md), and for planning, measured on {planned} samples. Times are the
processor's, so that what else the machine does hardly shows."""
_LOOKS = {"open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.link", "os.mkdir", "os.chmod"}
_PLANNED = 4000
_SEGMENTS = 150  # of a feature's ledger, whatever its size, up to a million records; see benchmarks/million.py


@dataclass(frozen=True)
class PerClip:
    """What one clip costs, on average.

    objects: files of data; segments: of ledgers, before they are merged. read: bytes of the release. hashing: seconds.
    """

    frames: float
    cpu: float
    written: float
    objects: float
    segments: float
    calls: float
    read: float
    hashing: float
    seconds: dict[str, float]


def run(tasks: int, quick: bool) -> Report:
    """Measure, simulate, multiply. quick: two clips."""
    clips = 2 if quick else 4
    one, features = measure(clips)
    planned, planned_bytes = planning(_PLANNED)
    scheduled = simulate(tasks)
    few = min(tasks, 4000)
    single, flood = simulate(few, batch=1), simulate(few, batch=1, ahead=few)
    rows: list[Row] = [_row(count, one, features, planned, planned_bytes, scheduled["cpu"]) for count in SIZES]
    stages = sorted(one.seconds.items(), key=lambda item: -item[1])
    return Report(
        TITLE,
        _TEXT.format(clips=clips, frames=round(one.frames), planned=_PLANNED),
        [
            Table(
                "One clip",
                (
                    *("CPU, s", "read, MB", "hashing, ms", "written, MB", "objects", "segments", "calls on names"),
                    *("planning, ms", "planning, kB"),
                ),
                [_clip(one, planned, planned_bytes)],
                "By stage: " + ", ".join(f"{stage} {s:.2f} s" for stage, s in stages) + ".",
            ),
            Table(
                f"{tasks} trivial samples through Dask",
                (
                    "samples in a task; tasks at a time",
                    "samples",
                    "ms per sample",
                    "ms, CPU of scheduler and client",
                    "MB more",
                ),
                [
                    _scheduling("as many as 2 s hold, 256 at most; two tasks for each thread", tasks, scheduled),
                    _scheduling("one; two tasks for each thread", few, single),
                    _scheduling("one; all tasks at once", few, flood),
                ],
                "Samples that do nothing, each through client, scheduler and Dask worker, all in this process, and "
                "through a worker process.",
            ),
            Table(
                "Many clips",
                (
                    *("clips", "CPU hours", "read, TB", "written, TB", "objects", "after compact", "calls on names"),
                    *("hashing, h", "planning, h", "planning, GB", "scheduling, h"),
                ),
                rows,
                "After compact: `mepipe store compact` puts data into shards of 64 MB. Hashing, planning, scheduling: "
                "of one process; the rest is the workers' together.",
            ),
        ],
    )


def _clip(one: PerClip, planned: float, planned_bytes: float) -> Row:
    cost = (one.cpu, one.read / 1e6, 1e3 * one.hashing, one.written / 1e6, one.objects, one.segments, one.calls)
    return (*cost, 1e3 * planned, planned_bytes / 1e3)


def _row(count: int, one: PerClip, features: int, planned: float, planned_bytes: float, scheduled: float) -> Row:
    segments = min(one.segments * count, features * _SEGMENTS * max(1, count / 1e6))
    return (
        f"{count:,}",
        one.cpu * count / 3600,
        one.read * count / 1e12,
        one.written * count / 1e12,
        f"{one.objects * count + segments:,.0f}",
        f"{one.written * count / 64e6 + segments:,.0f}",
        f"{one.calls * count:,.0f}",
        one.hashing * count / 3600,
        planned * count / 3600,
        planned_bytes * count / 1e9,
        scheduled * count / 3600,
    )


def _scheduling(label: str, count: int, cost: dict[str, float]) -> Row:
    return (label, f"{count:,}", 1e3 * cost["wall"], 1e3 * cost["cpu"], cost["memory"])


def measure(clips: int) -> tuple[PerClip, int]:
    """Extract demo clips in this process, the first uncounted: what one costs; and how many features there are."""
    nodes = resolve(load("features"))
    stored = [name for name, node in nodes.items() if node.dtype]
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name, _cache(name):
        root = Path(name)
        demo.write(root / "release", "samm", subjects=1, clips=clips + 1, seed=0, workers=1)
        samples = _built(root)
        opened, start = store.create(root / "s"), time.process_time()
        todo = plan.make(opened, "demo", samples, root / "release", nodes, stored)
        hashing = (time.process_time() - start) / len(samples)
        read = sum(p.stat().st_size for p in (root / "release").rglob("*.jpg")) / len(samples)
        plan.prepare(todo)
        with _counted(str(root / "s")) as calls:
            outcomes = executors.inline(todo)
            next(outcomes)  # metadata is read and code is loaded once
            calls.clear()
            start, before = time.process_time(), _files(root / "s")
            found = list(outcomes)
            took = time.process_time() - start
        if any(outcome.failed for outcome in found):
            raise RuntimeError(found)
        count, files = len(found), _files(root / "s")
        seconds: Counter[str] = sum((Counter(outcome.seconds) for outcome in found), Counter())
        frames = sum(t.sample.offset - t.sample.onset + 1 for t in todo.tasks[1:])
    one = PerClip(
        frames=frames / count,
        cpu=took / count,
        written=sum(outcome.written for outcome in found) / count,
        objects=(files["data"] - before["data"]) / count,
        segments=(files["ledger"] - before["ledger"]) / count,
        calls=sum(calls.values()) / count,
        read=read,
        hashing=hashing,
        seconds={stage: s / count for stage, s in seconds.items()},
    )
    return one, len(stored)


def _built(root: Path) -> list[manifest.Sample]:
    from click.testing import CliRunner

    from mepipe.cli.manifest import command

    os.environ["MEPIPE_MANIFESTS"] = str(root)
    done = CliRunner().invoke(command, ["build", "demo", "--root", str(root / "release")])
    if done.exit_code:
        raise RuntimeError(done.output)
    return manifest.read(root / "demo.csv")


@contextmanager
def _cache(folder: str) -> Iterator[None]:
    """The index of digests lies elsewhere, so that clips are read."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = folder
    try:
        yield
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def _files(folder: Path) -> dict[str, int]:
    return {
        "data": len(list(folder.glob("*@*/*/data/c.*"))),
        "ledger": len(list(folder.glob("*@*/*/ledger/*.jsonl"))),
    }


@contextmanager
def _counted(folder: str) -> Iterator[Counter[str]]:
    """Count calls on names below a folder."""
    calls: Counter[str] = Counter()
    on = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if on and event in _LOOKS and args and str(args[0]).startswith(folder):
            calls[event] += 1

    sys.addaudithook(hook)
    try:
        yield calls
    finally:
        on = False


def planning(count: int) -> tuple[float, float]:
    """Seconds, of the processor, and bytes that planning takes per sample, where clips were hashed before."""
    with bench.sleeping(1, 0.0) as one:
        sample = one.samples[0]
        samples = [sample.model_copy(update={"id": f"s{i}"}) for i in range(count)]
        start, before = time.process_time(), _resident()
        todo = plan.make(one.store, "bench", samples, one.root, one.nodes, one.stored)
        took, size = time.process_time() - start, _resident() - before
        assert len(todo.tasks) == count
    return took / count, max(0.0, size) / count


def _resident() -> float:
    """Bytes of this process."""
    return float(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def simulate(count: int, batch: int = cluster._BATCH_MOST, ahead: int = cluster._ALONE) -> dict[str, float]:
    """Samples of which nothing is wanted, through Dask: s per sample, s of this process's CPU, MB it grew by."""
    with bench.sleeping(1, 0.0) as one:
        task = Task(0, one.samples[0], {}, "")
        todo: Plan = replace(one, tasks=[task] * count)
        usual = cluster._BATCH_MOST, cluster._ALONE
        cluster._BATCH_MOST, cluster._ALONE = batch, ahead
        try:
            outcomes = cluster.own(todo, 2)
            next(outcomes)  # the cluster and its workers have started
            before, start, cpu = _resident(), time.perf_counter(), time.process_time()
            for _ in range(count - 1):
                next(outcomes)
            wall, cpu, more = time.perf_counter() - start, time.process_time() - cpu, _resident() - before
            outcomes.close()
        finally:
            cluster._BATCH_MOST, cluster._ALONE = usual
    return {"wall": wall / count, "cpu": cpu / count, "memory": more / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="trivial samples through Dask")
    parser.add_argument("--quick", action="store_true", help="two clips")
    given = parser.parse_args()
    print(tables.machine("make scale"), end="\n\n")
    print(tables.markdown(run(given.tasks, given.quick)))


if __name__ == "__main__":
    main()
