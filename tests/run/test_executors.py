"""Who computes makes no difference to what is stored, and a bad sample costs no other one anything."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe import cores
from mepipe import store as stores
from mepipe.errors import MepipeError, UsageError
from mepipe.run import executors, extract, plan, preload, shapes, workers
from mepipe.run.executors import Executor
from mepipe.run.plan import Plan
from tests.run import stages_for_tests as cheap

SAMPLES = 6
TIMEOUT = 1.5  # seconds; what does not hang takes hundredths


def dask(todo: Plan, count: int, timeout: float = workers.TIMEOUT) -> Iterator:
    cluster = pytest.importorskip("mepipe.run.cluster")
    pytest.importorskip("distributed", reason="needs Dask's scheduler: pip install 'mepipe[dask]'")
    return cluster.own(todo, count, timeout)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers are forked by a server that begins with the environment of this test, and ends with it."""
    if sys.platform == "linux":
        forkserver._forkserver._stop()
        forkserver.set_forkserver_preload(list(preload._ALWAYS))
        monkeypatch.setattr(preload, "_context", multiprocessing.get_context("forkserver"))
    yield
    if sys.platform == "linux":
        forkserver._forkserver._stop()


@pytest.fixture
def release(tmp_path: Path) -> tuple[Path, Path]:
    """Clips as PNG folders, and their manifest."""
    return cheap.write_release(tmp_path, SAMPLES)


def darken(release: tuple[Path, Path], sample: int, grey: int) -> None:
    for file in (release[0] / f"clip{sample}").iterdir():
        cv2.imwrite(str(file), np.full((24, 32), grey, np.uint8))


def run(store: Path, release: tuple[Path, Path], by: Executor) -> extract.Summary:
    return extract.run(cheap.make_plan(store, *release), "cheap", by)


def digests(store: Path) -> dict[tuple[str, str], str]:
    features = stores.open(store).features("tiny")
    return {(node, r.sample): r.digest for node, f in features.items() for r in f.records.values()}


@pytest.mark.parametrize(
    "by", [partial(executors.processes, count=2), partial(dask, count=2)], ids=["processes", "dask"]
)
def test_what_is_stored_is_what_one_process_stores(release: tuple[Path, Path], tmp_path: Path, by: Executor) -> None:
    run(tmp_path / "a", release, executors.inline)
    summary = run(tmp_path / "b", release, by)
    assert summary.computed == {"cut": SAMPLES, "mean": SAMPLES}
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("by", [executors.processes, dask])
def test_samples_that_hang_or_kill_are_recorded_and_the_rest_is_computed(
    release: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: Executor
) -> None:
    monkeypatch.setenv("MARK_FOR_TESTS", str(tmp_path / "mark"))
    for sample, grey in enumerate((cheap.KILLS, cheap.HANGS, cheap.KILLS_ONCE), 1):
        darken(release, sample, grey)
    summary = run(tmp_path / "s", release, partial(by, count=2, timeout=TIMEOUT))
    assert summary.computed == {"cut": SAMPLES - 2, "mean": SAMPLES - 2}
    assert sorted(summary.failed_samples) == ["s1", "s2"]
    assert "killed twice while computing it (SIGKILL: out of memory?)" in summary.failed_samples["s1"]
    assert "took longer than 1.5 s" in summary.failed_samples["s2"]
    for sample in (1, 2):
        darken(release, sample, 90)
    again = run(tmp_path / "s", release, executors.inline)
    assert (again.computed, again.failed) == ({"cut": 2, "mean": 2}, {})


def test_what_failed_so_is_tried_again_by_the_next_run(release: tuple[Path, Path], tmp_path: Path) -> None:
    darken(release, 1, cheap.HANGS)
    for _ in range(2):
        summary = run(tmp_path / "s", release, partial(executors.processes, count=1, timeout=TIMEOUT))
        assert list(summary.failed_samples) == ["s1"]


def test_workers_that_cannot_start_end_the_run(
    release: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    todo = cheap.make_plan(tmp_path / "s", *release)
    monkeypatch.setattr(preload, "_context", multiprocessing.get_context("spawn"))
    monkeypatch.setenv("MEPIPE_STAGES", "")  # there are no such stages
    with pytest.raises(MepipeError, match=r"end while they start \(exit status 1\)"):
        extract.run(todo, "cheap", partial(executors.processes, count=2))


def test_several_workers_begin_with_the_longest_clips(release: tuple[Path, Path], tmp_path: Path) -> None:
    todo = cheap.make_plan(tmp_path / "s", *release)
    lengths = [task.sample.offset - task.sample.onset for task in todo.longest_first]
    assert lengths == sorted((s.offset - s.onset for s in todo.samples), reverse=True)
    plan.prepare(todo)
    given = [outcome.sample for outcome in executors.processes(todo, 1)]
    assert given == [task.sample.id for task in todo.longest_first]


def test_closing_ends_what_computes(release: tuple[Path, Path], tmp_path: Path) -> None:
    darken(release, 0, cheap.HANGS)
    todo = cheap.make_plan(tmp_path / "s", *release)
    plan.prepare(todo)
    with workers.Pool(todo, 2) as pool:
        assert next(pool.run(todo.tasks)).sample == "s1"
        processes = [worker.process for worker in pool._workers]
    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)


def test_a_worker_has_one_thread_of_every_kind(release: tuple[Path, Path], tmp_path: Path) -> None:
    from mepipe.recipe.model import parse
    from mepipe.recipe.resolve import resolve

    recipe = cheap.RECIPE.replace("mean:", "threads:").replace("mean-for", "threads-for").replace("float16", "true")
    nodes = resolve(parse(recipe, "cheap"))
    todo = replace(cheap.make_plan(tmp_path / "s", *release), nodes=nodes, stored=list(nodes))
    todo = replace(todo, adopt={"cut": {}, "threads": {}}, cached={"cut": 0, "threads": 0})
    todo = replace(todo, tasks=[replace(todo.tasks[0], wanted={"cut": 1, "threads": 1})])
    extract.run(todo, "cheap", partial(executors.processes, count=1))
    counts = stores.open(tmp_path / "s").feature("tiny/threads")["s0"]
    assert counts.tolist() == [1, 1, 1]


def test_memory_bounds_the_number_of_workers(
    release: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = cheap.make_plan(tmp_path / "s", *release)
    longest = max(todo.samples, key=lambda s: s.offset)
    assert shapes.largest(todo.nodes, todo.stored, longest) == 31 * 16 * 16  # bytes of the cut frames of s5
    monkeypatch.setattr(cores, "available", lambda: 8)
    for room, count in ((100.0, 8), (3.5, 3), (0.5, 1)):
        monkeypatch.setattr(executors, "available", lambda room=room: room * executors.needs(todo))
        assert executors.default_workers(todo) == count


def test_dask_that_is_not_there_is_named(
    release: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = pytest.importorskip("mepipe.run.cluster")
    pytest.importorskip("distributed", reason="needs Dask's scheduler: pip install 'mepipe[dask]'")
    monkeypatch.setattr(cluster, "_CONNECT", 0.2)
    with pytest.raises(UsageError, match="No Dask scheduler answers"):
        run(tmp_path / "s", release, partial(cluster.running, address="tcp://127.0.0.1:9"))
