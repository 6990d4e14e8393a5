"""What happens in a Dask worker: a batch of samples is computed by worker processes of its own.

One process for each of its threads (`workers.Pool`). So a sample that kills, hangs, or keeps Python to itself does not
take the Dask worker along, is treated as on one machine, and leaves nothing behind in a process that lives for weeks.
"""

from __future__ import annotations

import pickle
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from mepipe import __version__, weights
from mepipe.errors import MepipeError, UsageError
from mepipe.run import devices, preload
from mepipe.run.plan import Plan, Task
from mepipe.run.task import Outcome
from mepipe.run.workers import Pool, Stopped


@dataclass(frozen=True)
class Job:
    """A plan as it travels with each batch: what a worker that comes late needs to know. timeout: s per sample."""

    id: str
    version: str
    content: bytes
    timeout: float

    @classmethod
    def of(cls, plan: Plan, timeout: float) -> Job:
        """plan: bare (`Plan.bare`)."""
        return cls(uuid.uuid4().hex, __version__, pickle.dumps(plan), timeout)


_lock = threading.Lock()
_free: dict[str, list[Pool]] = {}  # by job
_busy: dict[str, list[Pool]] = {}
_stopped: set[str] = set()


def compute(job: Job, batch: list[Task]) -> tuple[list[Outcome], float]:
    """Compute and store a batch: what became of it, and the seconds it took."""
    start = time.monotonic()
    plan = _plan(job.id, job.version, job.content)
    with _pool(job, plan) as pool:
        outcomes = list(pool.run(batch))
    return outcomes, time.monotonic() - start


def stop(job: str) -> None:
    """End the processes of a job, here and now; what of it comes later is refused."""
    with _lock:
        _stopped.add(job)
        busy, free = list(_busy.get(job, ())), _free.pop(job, [])
    for pool in busy:
        pool.stop()  # whoever waits for it, closes it
    for pool in free:
        pool.close()


def stop_all() -> None:
    """The same, of every job."""
    for job in {*_busy, *_free}:
        stop(job)


@contextmanager
def _pool(job: Job, plan: Plan) -> Iterator[Pool]:
    """A pool of one process that nobody else uses; those of other jobs end, unless they are at work."""
    with _lock:
        if job.id in _stopped:
            raise Stopped
        idle = [pool for other, pools in _free.items() if other != job.id for pool in pools]
        for other in _free.keys() - {job.id}:
            del _free[other]
        mine = _free.setdefault(job.id, [])
        pool = mine.pop() if mine else Pool(plan, 1, job.timeout)
        _busy.setdefault(job.id, []).append(pool)
    for old in idle:
        old.close()
    try:
        yield pool
    except BaseException:
        with _lock:
            _busy[job.id].remove(pool)
        pool.close()
        raise
    with _lock:
        _busy[job.id].remove(pool)
        _free.setdefault(job.id, []).append(pool)


@lru_cache(maxsize=4)
def _plan(job: str, wanted: str, content: bytes) -> Plan:
    """The plan; MepipeError where this worker would not compute what the plan's keys say, or not into its store."""
    where = f"The Dask worker on {socket.gethostname()}"
    if wanted != __version__:
        msg = f"{where} has mepipe {__version__}, and {wanted} is asked for. Install the same version there."
        raise MepipeError(msg)
    plan: Plan = pickle.loads(content)  # from Dask, whose every message is one
    problem = next(_problems(plan), None)
    if problem:
        msg = f"{where} {problem}"
        raise MepipeError(msg)
    preload.start(plan.modules)
    return plan


def _problems(plan: Plan) -> Iterator[str]:
    for node in plan.nodes.values():
        wanted = node.lineage
        if node.stage.version != wanted["version"]:
            yield f"has version {node.stage.version} of {node.stage.name}, and {wanted['version']} is asked for."
        for library, number in wanted["libraries"].items():
            found = _version(library)
            if found != number:
                yield f"has {library} {found}, and {number} is asked for: it would compute other values. Install that."
        for name, digest in wanted.get("weights", {}).items():
            if weights.digest(name) != digest:
                yield f"has other weights {name!r}. Copy them there; MEPIPE_WEIGHTS says where they lie."
    try:
        devices.check(plan.device)
    except UsageError as error:
        yield f"cannot compute on {plan.device!r}. {error}"
    if not plan.store.place.exists(f"{plan.snapshot}/zarr.json"):
        yield f"does not see the store at {plan.store.url}. Mount it there under the same path, or use a URL."
    if not plan.root.is_dir():
        yield f"does not see the release at {plan.root}. Mount it there under the same path."


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
