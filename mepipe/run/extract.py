"""An extraction from beginning to end: run a plan's tasks, count what became of them, leave the refs."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from mepipe.run import executors, plan
from mepipe.run.plan import Plan
from mepipe.run.task import Outcome


@dataclass
class Summary:
    """What an extraction did, in samples per feature where not said otherwise.

    failed: {node: {sample: reason}}, with those known from earlier runs. seconds: by stage, summed over workers.
    """

    snapshot: str
    samples: int
    computed: Counter[str] = field(default_factory=Counter)
    cached: dict[str, int] = field(default_factory=dict)
    adopted: dict[str, int] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    written: int = 0
    wall: float = 0.0

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
    workers: int,
    tick: Callable[[Summary], object] = lambda summary: None,
) -> Summary:
    """Carry out a plan. Whatever stops it, what was finished stays finished.

    recipe: the name under which the features are found. tick: called with the count so far after each sample.
    """
    start = time.perf_counter()
    plan.prepare(todo)
    summary = Summary(
        snapshot=todo.snapshot,
        samples=len(todo.samples),
        cached=todo.cached,
        adopted={name: len(taken) for name, taken in todo.adopt.items() if taken},
        failed={name: dict(failures) for name, failures in todo.failed.items() if failures},
    )
    folders = {name: todo.nodes[name].folder for name in todo.stored}
    todo.store.set_ref(todo.dataset, recipe, todo.snapshot, folders)
    outcomes = executors.processes(todo, workers) if workers > 1 else executors.inline(todo)
    for outcome in outcomes if todo.tasks else ():
        summary.add(outcome)
        tick(summary)
    for folder in folders.values():
        todo.store.feature(f"{todo.snapshot}/{folder}").ledger.merge()
    summary.wall = time.perf_counter() - start
    return summary
