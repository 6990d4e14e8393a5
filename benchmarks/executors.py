"""What executors cost beside the work itself, and what a second worker gains on the demo recipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

import mepipe.stages
from benchmarks.tables import Asked, Report, Row, Table
from mepipe import store
from mepipe.datasets import demo
from mepipe.datasets.manifest import Sample
from mepipe.recipe.model import parse
from mepipe.recipe.resolve import resolve
from mepipe.run import cluster, executors, plan, preload
from mepipe.run.executors import Executor
from mepipe.run.plan import Plan

TITLE = "Executors"
_TEXT = """\
Overhead: tasks of {seconds} s that sleep, {tasks} of them, on {workers} workers. What each task took is measured in its
worker; the overhead is what the run took beyond that, divided among the workers: with the start of the workers (and of
Dask's scheduler) and without it, from the first result on. Sleeping needs no processor, so that figures hold on a busy
machine, too.

Gain of the second worker: `mepipe extract` of the recipe `features` on {clips} demo clips (`make features` has 48)
into a new store, with one worker process and with two, in turn, {rounds} times; wall time of the whole command, of
which the first three seconds or so, imports and planning, are the same with any number of workers. On a virtual
machine, what others do on the same processors lengthens a run by up to a half: the fastest run of each kind is told,
too."""
_WORKERS = 2
_RECIPE = "name: sleep\nnodes:\n  sleep: {stage: bench-sleep, input: source, params: {seconds: %g}, store: true}\n"


def run(quick: bool = False) -> Report:
    """Few tasks, one round, three clips when `quick`."""
    seconds, tasks, rounds = 0.5, (24 if quick else 160), (1 if quick else 7)
    subjects, clips = (1, 3) if quick else (8, 6)
    rows: list[Row] = []
    asked = []
    for name, by in _executors().items():
        whole, steady = overhead(by, tasks, seconds)
        rows.append((name, 100 * whole, 100 * steady))
        asked.append(Asked(f"{name}: overhead over the stages' time at {seconds} s tasks, %", 100 * whole, "<=", 5))
    walls = second_worker(rounds, subjects, clips)
    gains = walls[:, 0] / walls[:, 1]
    asked.append(Asked("times faster with a second worker, demo recipe", float(np.median(gains)), ">=", 1.85))
    text = _TEXT.format(seconds=seconds, tasks=tasks, workers=_WORKERS, rounds=rounds, clips=subjects * clips)
    middle, fastest = np.median(walls, axis=0), walls.min(axis=0)
    runs: list[Row] = [
        ("median", *map(float, middle), float(np.median(gains))),
        ("fastest", *map(float, fastest), float(fastest[0] / fastest[1])),
    ]
    note = f"The gain of single rounds: {gains.min():.2f}-{gains.max():.2f}."
    return Report(
        TITLE,
        text,
        [
            Table("Overhead", ("executor", "%, start included", "%, from the first result on"), rows),
            Table("Second worker", ("runs", "one worker, s", "two, s", "times faster"), runs, note),
        ],
        asked,
    )


def _executors() -> dict[str, Executor]:
    return {
        "processes": partial(executors.processes, count=_WORKERS),
        "dask": partial(cluster.own, count=_WORKERS),
    }


def overhead(by: Executor, tasks: int, seconds: float) -> tuple[float, float]:
    """What a run takes beyond its tasks, as a part of these: with the workers' start, and from the first result on."""
    with sleeping(tasks, seconds) as todo:
        start = time.perf_counter()
        ends, work = [], []
        for outcome in by(todo):
            ends.append(time.perf_counter() - start)
            work.append(sum(outcome.seconds.values()))
        whole = time.perf_counter() - start
    later = sum(work[_WORKERS:])
    return whole * _WORKERS / sum(work) - 1, (ends[-1] - ends[_WORKERS - 1]) * _WORKERS / later - 1


@contextmanager
def sleeping(tasks: int, seconds: float) -> Iterator[Plan]:
    """A plan of so many tasks that sleep, ready to be carried out."""
    folder = str(Path(__file__).parent / "stages")
    os.environ["MEPIPE_STAGES"] = folder
    if folder not in mepipe.stages.__path__:
        mepipe.stages.__path__.append(folder)
    preload.start(())
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        root = Path(name)
        (root / "clip").mkdir()
        (root / "clip" / "0.png").write_bytes(b"")  # nobody looks at it
        samples = [
            Sample(id=f"s{i}", subject="x", clip="clip", onset=0, apex=0, offset=0, fps=200) for i in range(tasks)
        ]
        nodes = resolve(parse(_RECIPE % seconds, "sleep"))
        todo = plan.make(store.create(root / "s"), "bench", samples, root, nodes, list(nodes))
        plan.prepare(todo)
        yield todo


def second_worker(rounds: int, subjects: int, clips: int) -> np.ndarray:
    """Wall time with one worker and with two, seconds: float64 [rounds, 2]."""
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        folder = Path(name)
        demo.write(folder / "release", "samm", subjects=subjects, clips=clips, seed=0, workers=_WORKERS)
        place = {"MEPIPE_MANIFESTS": folder, "MEPIPE_ROOT_DEMO": folder / "release", "XDG_CACHE_HOME": folder / "xdg"}
        environment = {**os.environ, **{name: str(value) for name, value in place.items()}}

        def mepipe(*arguments: object) -> tuple[float, str]:
            command = [sys.executable, "-m", "mepipe", *map(str, arguments)]
            start = time.perf_counter()
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            return time.perf_counter() - start, done.stdout

        def extract(workers: int) -> float:
            took, out = mepipe("extract", "-d", "demo", "--store", folder / "s", "-j", workers, "--json")
            shutil.rmtree(folder / "s")
            if json.loads(out)["failed"]:
                raise RuntimeError(out)
            return took

        mepipe("manifest", "build", "demo")
        extract(2)  # compiled code into its cache, clips into memory
        return np.array([(extract(1), extract(2)) for _ in range(rounds)])
