"""Who computes the tasks of a plan: this process, worker processes of this machine, or those of a Dask cluster.

An executor is a function of a plan that gives, in no particular order, what became of each task. All run the same code
on the same input, so that a store's bytes do not tell which one it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mepipe import cores
from mepipe.run import shapes, threads, workers
from mepipe.run import task as tasks
from mepipe.run.plan import Plan
from mepipe.run.task import Outcome

Executor = Callable[[Plan], Iterator[Outcome]]

_BASE = 0.45e9  # bytes of a worker that has computed a short clip
_COPIES = 2.5  # of the largest array of a clip, held at once while it is computed


def inline(plan: Plan) -> Iterator[Outcome]:
    """Compute every task here, one after the other: for debugging. What hangs, hangs."""
    workers.load(plan)
    for task in plan.tasks:
        with threads.limited():
            outcome = tasks.run(plan, task)
        yield outcome


def processes(plan: Plan, count: int, timeout: float = workers.TIMEOUT) -> Iterator[Outcome]:
    """Compute the tasks in so many worker processes; see `workers.Pool`."""
    with workers.Pool(plan, count, timeout) as pool:
        yield from pool.run(plan.longest_first)


def name(executor: Executor) -> str:
    """What computes, in words."""
    if not isinstance(executor, partial):
        return executor.__name__
    given = {key: value for key, value in executor.keywords.items() if isinstance(value, (int, str))}
    return f"{executor.func.__name__} ({', '.join(f'{key} {value}' for key, value in given.items())})"


def default_workers(plan: Plan | None = None) -> int:
    """As many as there are cores to this process, and as many as fit into its memory if all get the longest clip."""
    count, free = cores.available(), available()
    return count if plan is None or free is None else max(1, min(count, int(free // needs(plan))))


def needs(plan: Plan) -> float:
    """The bytes that a worker needs for the longest clip of a plan, about."""
    longest = max((task.sample for task in plan.tasks), key=lambda s: s.offset - s.onset, default=None)
    return _BASE + (_COPIES * shapes.largest(plan.nodes, plan.stored, longest) if longest else 0.0)


def available() -> int | None:
    """The bytes of memory that this process may still use: of the machine, or of its share; None where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    except OSError:
        return None
    try:  # a container's share, control groups of version 2
        share = Path("/sys/fs/cgroup")
        limit = int((share / "memory.max").read_text())
        stat = dict(line.split() for line in (share / "memory.stat").read_text().splitlines())
        found.append(limit - int((share / "memory.current").read_text()) + int(stat["inactive_file"]))
    except (OSError, ValueError, KeyError):
        pass
    return max(0, min(found)) if found else None
