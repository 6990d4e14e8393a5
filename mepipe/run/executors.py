"""Who computes the tasks: this process, or a pool of worker processes that may die without taking the run along."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice

from mepipe.run import devices, preload
from mepipe.run import task as tasks
from mepipe.run.plan import Plan, Task
from mepipe.run.task import Outcome

_plan: Plan | None = None


def inline(plan: Plan) -> Iterator[Outcome]:
    """Compute every task here, one after the other: for debugging, and for one worker."""
    _load_torch(plan)
    devices.prepare(plan.device)
    for task in plan.tasks:
        with _one_thread():
            outcome = tasks.run(plan, task)
        yield outcome


def processes(plan: Plan, workers: int) -> Iterator[Outcome]:
    """Compute the tasks in worker processes, in no particular order.

    When a worker is killed, the tasks then running are tried again one at a time, so that the one that kills shows
    itself; the second time it does, it is recorded as failed, and may be tried again by a later run.
    """
    suspects: list[Task] = []
    yield from _pool(plan, plan.tasks, workers, suspects)
    while suspects:
        task = suspects.pop()
        again: list[Task] = []
        yield from _pool(plan, [task], 1, again)
        if again:
            yield tasks.quarantine(plan, task, "the worker process was killed twice while computing it (memory?)")


def _pool(plan: Plan, todo: Iterable[Task], workers: int, suspects: list[Task]) -> Iterator[Outcome]:
    """Run tasks in a pool, and in a new one whenever one breaks; tasks that ran as it broke go to `suspects`."""
    queue = iter(todo)
    started = True
    while started:
        started = False
        pool = ProcessPoolExecutor(workers, preload.context(), _start_worker, (plan,))
        running: dict[Future[Outcome], Task] = {}
        try:
            for task in islice(queue, 2 * workers):
                running[pool.submit(_run, task)] = task
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    del running[future]
                    yield outcome
                    for task in islice(queue, 1):
                        running[pool.submit(_run, task)] = task
        except BrokenProcessPool:
            suspects.extend(running.values())
            started = True
        finally:
            _stop(pool)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End a pool now: what its workers were doing is not in the ledger, and is done again by the next run."""
    workers = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join()


def _start_worker(plan: Plan) -> None:
    global _plan
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _load_torch(plan)
    devices.prepare(plan.device)
    _plan = plan


def _load_torch(plan: Plan) -> None:
    """Load Torch where a stage will: loaded within a task, its threads would not be limited in that task."""
    if any(node.stage.weights(node.params) for node in plan.nodes.values()):
        import torch  # noqa: F401


def _run(task: Task) -> Outcome:
    assert _plan is not None
    with _one_thread():
        return tasks.run(_plan, task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread per task: clips, not pixels, are what runs in parallel."""
    import cv2
    from threadpoolctl import threadpool_limits

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):  # of the libraries loaded so far, hence for every task
            yield
    finally:
        cv2.setNumThreads(before)


def default_workers() -> int:
    """As many as there are cores to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
