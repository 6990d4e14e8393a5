"""What a Dask worker looks at before it computes, and what a run believes of a store when results were lost."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mepipe.datasets.manifest import Sample, dump
from mepipe.errors import MepipeError
from mepipe.run import cluster, cluster_worker, executors, extract, plan
from mepipe.run.cluster_worker import Job
from mepipe.run.plan import Plan
from tests.run import stages_for_tests as cheap


@pytest.fixture
def todo(tmp_path: Path) -> Plan:
    """A plan of three clips, the second of which is black; prepared."""
    samples = []
    for name, grey in (("a", 90), ("b", 0), ("c", 80)):
        (tmp_path / "release" / name).mkdir(parents=True)
        for n in range(3):
            cv2.imwrite(str(tmp_path / "release" / name / f"{n}.png"), np.full((24, 32), grey, np.uint8))
        samples.append(Sample(id=name, subject="x", clip=name, onset=0, apex=1, offset=2, fps=200))
    manifest = tmp_path / "tiny.csv"
    manifest.write_text(dump(samples))
    made = cheap.make_plan(tmp_path / "s", tmp_path / "release", manifest)
    plan.prepare(made)
    return made


def of_another_library(todo: Plan) -> Plan:
    cut = todo.nodes["cut"]
    lineage = {**cut.lineage, "libraries": {"numpy": "0.1"}}
    return replace(todo, nodes={**todo.nodes, "cut": replace(cut, lineage=lineage)})


def of_another_stage(todo: Plan) -> Plan:
    cut = todo.nodes["cut"]
    return replace(todo, nodes={**todo.nodes, "cut": replace(cut, lineage={**cut.lineage, "version": 7})})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_another_library, "has numpy .*, and 0.1 is asked for"),
        (of_another_stage, "has version 1 of cut-for-tests, and 7 is asked for"),
        (lambda todo: replace(todo, root=todo.root / "elsewhere"), "does not see the release at .*elsewhere"),
        (lambda todo: replace(todo, snapshot="tiny@00000000"), "does not see the store at"),
    ],
)
def test_a_worker_that_would_compute_or_store_something_else_refuses(
    todo: Plan, change: Callable[[Plan], Plan], message: str
) -> None:
    with pytest.raises(MepipeError, match=f"The Dask worker on .* {message}"):
        cluster_worker.compute(Job.of(change(todo).bare(), 60.0), todo.tasks[:1])


def test_a_worker_of_another_mepipe_refuses_before_it_looks_at_the_plan(todo: Plan) -> None:
    job = replace(Job.of(todo.bare(), 60.0), version="9.9.9", content=b"not a plan")
    with pytest.raises(MepipeError, match=r"and 9\.9\.9 is asked for"):
        cluster_worker.compute(job, todo.tasks[:1])


def test_what_travels_does_not_grow_with_the_number_of_samples(todo: Plan) -> None:
    many: Any = replace(todo, samples=todo.samples * 1000, frames=todo.frames * 1000, tasks=todo.tasks * 1000)
    assert len(pickle.dumps(many.bare())) == len(pickle.dumps(todo.bare()))


def test_relative_paths_are_the_command_s_own(todo: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = cheap.make_plan("s", Path("release"), tmp_path / "tiny.csv").bare()
    assert (Path(here.store.url), here.root) == (tmp_path / "s", tmp_path / "release")


def test_what_the_store_has_is_not_given_out_again(todo: Plan) -> None:
    assert cluster.recorded(todo, todo.tasks) == ([], todo.tasks)
    extract.run(replace(todo, tasks=todo.tasks[:2]), "cheap", executors.inline)
    outcomes, rest = cluster.recorded(todo, todo.tasks)
    assert [task.sample.id for task in rest] == ["c"]
    assert [(o.sample, sorted(o.done), sorted(o.failed)) for o in outcomes] == [
        ("a", ["cut", "mean"], []),
        ("b", [], ["cut", "mean"]),
    ]


def test_what_was_recorded_before_its_turn_does_not_count(todo: Plan) -> None:
    extract.run(replace(todo, tasks=todo.tasks[:1]), "cheap", executors.inline)
    again = [replace(task, wanted=dict.fromkeys(task.wanted, 2)) for task in todo.tasks[:1]]
    assert cluster.recorded(todo, again) == ([], again)
