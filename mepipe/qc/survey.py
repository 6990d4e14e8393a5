"""Quality of a whole dataset: every sample measured, compared with the others, judged."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from mepipe import store as stores
from mepipe.qc import judge, shapes, twins
from mepipe.qc.judge import LIMITS
from mepipe.qc.sample import Measured, measure
from mepipe.qc.sources import Sources, find

_FEW = 64  # samples that one process measures sooner than others have started
_sources: Sources  # of a worker process


def survey(
    url: str, dataset: str, recipe: str | None, workers: int = 1, tick: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """The report on a dataset: {"dataset", "snapshot", "recipe", "skipped", "thresholds", "samples"}, samples by id
    with "score", "flags" and "values", the most suspicious first.

    url: of the store. recipe: whose features; None: of all. tick: called after each sample.
    """
    sources = find(stores.open(url), dataset, recipe)
    measured = {}
    for sample, found in _measured(sources, url, dataset, recipe, workers):
        measured[sample] = found
        tick()
    _compare(measured, sources)
    judged = {sample: _row(found) for sample, found in measured.items()}
    return {
        "dataset": dataset,
        "snapshot": sources.snapshot,
        "recipe": sources.recipe,
        "skipped": sources.skipped,
        "thresholds": judge.explained(),
        "samples": dict(sorted(judged.items(), key=lambda item: -item[1]["score"])),
    }


def _row(found: Measured) -> dict[str, Any]:
    values = {name: round(float(value), 4) for name, value in found.values.items()}
    return {**judge.judge(found.values, found.facts), "values": values}


def _measured(
    sources: Sources, url: str, dataset: str, recipe: str | None, workers: int
) -> Iterator[tuple[str, Measured]]:
    ids = sources.any.ids
    if workers < 2 or len(ids) < _FEW:
        yield from ((sample, measure(sources, sample)) for sample in ids)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_open, initargs=(url, dataset, recipe)) as pool:
        yield from zip(ids, pool.map(_one, ids, chunksize=8), strict=True)


def _open(url: str, dataset: str, recipe: str | None) -> None:
    global _sources
    _sources = find(stores.open(url), dataset, recipe)


def _one(sample: str) -> Measured:
    return measure(_sources, sample)


def _compare(measured: dict[str, Measured], sources: Sources) -> None:
    """Add what is known by comparison with other samples."""
    table = sources.any.table
    subjects = {str(sample): str(subject) for sample, subject in table["subject"].items()}
    named = {sample: found.shape for sample, found in measured.items() if found.shape is not None}
    for sample, value in shapes.strangeness(named, subjects).items():
        measured[sample].values["landmarks"] = value
    marks: dict[str, np.ndarray] = {s: found.mark for s, found in measured.items() if found.mark is not None}
    same = [(one, other, 1.0) for one, other in twins.same_files(table)]
    files = {(one, other) for one, other, _ in same}
    for sample, (value, twin) in twins.of_each([*same, *twins.alike(marks, LIMITS["duplicate"].limit)]).items():
        measured[sample].values["duplicate"] = value
        by_files = (sample, twin) in files or (twin, sample) in files
        how = "the same files" if by_files else f"their noise agrees to {value:.2f}"
        measured[sample].facts |= {"twin": twin, "how": how}
    for sample, (value, twin) in twins.of_each(twins.overlapping(table, LIMITS["overlap"].limit)).items():
        measured[sample].values["overlap"] = value
        measured[sample].facts |= {"shared_with": twin}
