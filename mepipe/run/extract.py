"""An extraction from beginning to end: run a plan's tasks, count what became of them, leave the refs."""

from __future__ import annotations

import errno
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from mepipe.errors import MepipeError
from mepipe.run import executors, log, plan, upstream
from mepipe.run.executors import Executor
from mepipe.run.plan import Plan
from mepipe.run.task import Outcome
from mepipe.store import roots


@dataclass
class Summary:
    """What an extraction did, in samples per feature where not said otherwise.

    failed: {node: {sample: reason}}, with those known from earlier runs. seconds: by stage, summed over workers; what
        is not of a stage is "decode" and "store". by: who computed.
    """

    snapshot: str
    samples: int
    computed: Counter[str] = field(default_factory=Counter)
    cached: dict[str, int] = field(default_factory=dict)
    adopted: dict[str, int] = field(default_factory=dict)
    upstream: dict[str, int] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    written: int = 0
    wall: float = 0.0
    by: str = ""

    @property
    def shares(self) -> dict[str, float]:
        """What part of the workers' time each stage took, the longest first."""
        total = sum(self.seconds.values())
        return {stage: s / total for stage, s in sorted(self.seconds.items(), key=lambda item: -item[1])}

    @property
    def failed_samples(self) -> dict[str, str]:
        """Each sample of which anything failed, and its first reason."""
        return {s: reason for failures in reversed(self.failed.values()) for s, reason in failures.items()}

    def add(self, outcome: Outcome) -> None:
        """Count one task."""
        self.computed.update(outcome.done)
        for node, reason in outcome.failed.items():
            self.failed.setdefault(node, {})[outcome.sample] = reason
        for stage, seconds in outcome.seconds.items():
            self.seconds[stage] += seconds
        self.written += outcome.written


def run(
    todo: Plan,
    recipe: str,
    by: Executor | int,
    tick: Callable[[Summary], object] = lambda summary: None,
    arrived: Callable[[int], object] = lambda size: None,
) -> Summary:
    """Carry out a plan. Whatever stops it, what was finished stays finished.

    recipe: the name under which the features are found. by: who computes; a number is one of worker processes, where 1
    is this process. tick: called with the count so far after each sample.
    arrived: called with the bytes of each sample that came from upstream.
    """
    start, began = time.perf_counter(), time.time()
    folders = {name: todo.nodes[name].folder for name in todo.stored}
    taken = {name: len(samples) for name, samples in todo.upstream.items()}
    before = todo.cached
    changes = _lacking(todo)
    try:
        with roots.claim(todo.store.place, _used(todo)):
            _check_still_there(todo)
            plan.prepare(todo)
            todo = upstream.take(todo, arrived)
            todo.store.set_ref(todo.dataset, recipe, todo.snapshot, folders)
    except MepipeError as error:
        if changes or not _may_only_be_read(error):
            raise
        return _summary(todo, start)  # there is nothing to write either
    summary = _summary(todo, start)
    summary.upstream = {name: count - before[name] + todo.cached[name] for name, count in taken.items()}
    if isinstance(by, int):
        by = partial(executors.processes, count=by) if by > 1 else executors.inline
    summary.by = executors.name(by)
    ended = "complete"
    try:
        for outcome in by(todo) if todo.tasks else ():
            summary.add(outcome)
            tick(summary)
        for folder in folders.values():
            todo.store.feature(f"{todo.snapshot}/{folder}").ledger.merge()
    except BaseException as error:
        ended = "interrupted" if isinstance(error, KeyboardInterrupt) else " ".join(str(error).split())
        raise
    finally:
        summary.wall = time.perf_counter() - start
        if changes:
            log.write(todo, summary, recipe, began, ended)
    return summary


def _lacking(todo: Plan) -> bool:
    return bool(todo.tasks) or any(todo.adopt.values()) or any(todo.upstream.values())


def _may_only_be_read(error: MepipeError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def _summary(todo: Plan, start: float) -> Summary:
    return Summary(
        snapshot=todo.snapshot,
        samples=len(todo.samples),
        cached=todo.cached,
        adopted={name: len(samples) for name, samples in todo.adopt.items() if samples},
        failed={name: dict(failures) for name, failures in todo.failed.items() if failures},
        wall=time.perf_counter() - start,
    )


def _used(todo: Plan) -> set[str]:
    """The features of the store that a plan writes, counts on, or takes samples from."""
    sources = {feature.path for samples in todo.adopt.values() for feature, _ in samples.values()}
    return sources | {f"{todo.snapshot}/{todo.nodes[name].folder}" for name in todo.stored}


def _check_still_there(todo: Plan) -> None:
    """MepipeError where gc has removed since the plan was made what the plan counts on."""
    used = {feature.path for samples in todo.adopt.values() for feature, _ in samples.values()}
    for name in todo.stored:
        if todo.cached[name] > len(todo.adopt[name]) + len(todo.upstream.get(name, ())):
            used.add(f"{todo.snapshot}/{todo.nodes[name].folder}")
    for path in sorted(used):
        if not todo.store.place.children(f"{path}/ledger"):  # not its metadata, which may be damaged
            msg = f"{path} was removed by store gc while this was being planned. Run the same command again."
            raise MepipeError(msg)
