"""Tasks computed by a Dask cluster: Dask says who computes what; its workers decode, compute and write by themselves.

What Dask carries is samples by name on the way out (`cluster_worker` takes them), and what became of them on the way
back. They are sent in batches of a few seconds' work, two for each thread of the cluster at a time, so that neither
what a scheduler takes per task nor what it remembers grows with the number of samples.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from mepipe.errors import MepipeError, UsageError
from mepipe.run import cluster_worker, workers
from mepipe.run import task as tasks
from mepipe.run.plan import Plan, Task
from mepipe.run.task import Outcome

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 60.0  # seconds without a scheduler after which a run ends
_BATCH_SECONDS = 2.0  # of work in a batch, about: a thousand times what a scheduler takes for it
_BATCH_MOST = 256  # samples
_AHEAD = 2  # batches for each thread of the cluster, the one at work among them
_ALONE = 4  # batches that wait for the first worker
_CONNECT = 10.0  # seconds for a scheduler to answer
_LOOK = 1.0  # seconds between looks at how large the cluster is, and whether it is there

Tell = Callable[[str], object]


class _Lost(Exception):
    """The scheduler, or the way to it."""


def running(
    plan: Plan, address: str, timeout: float = workers.TIMEOUT, tell: Tell = lambda line: None
) -> Iterator[Outcome]:
    """Compute the tasks on a cluster that is running.

    address: of its scheduler. timeout: seconds for one sample. tell: called with lines for a person.

    When the scheduler or the way to it is lost, what workers finish is taken from the store, and the rest is given out
    again as soon as the scheduler answers. UsageError where none answers in the beginning; MepipeError where none does
    later for a minute, or where a worker cannot do the work.
    """
    run = _Run(plan, timeout, tell)
    with _client(address) as client:
        _tell_dashboard(client, tell)
        lost = yield from run.drive(client)
    while lost:
        tell("The scheduler is lost. What workers finish is kept; waiting for it to come back.")
        until = time.monotonic() + PATIENCE
        while lost:
            try:
                with _client(address) as client:
                    yield from run.finished_meanwhile()
                    tell(f"The scheduler is back: {len(run.todo)} samples to go.")
                    lost = yield from run.drive(client)
                    until = time.monotonic() + PATIENCE
            except UsageError:
                if time.monotonic() > until:
                    msg = (
                        f"The Dask scheduler at {address} has not answered for {PATIENCE:.0f} s. What was finished is "
                        "kept: start it, or another, and run the same command again."
                    )
                    raise MepipeError(msg) from None
                time.sleep(0.2)


def own(plan: Plan, count: int, timeout: float = workers.TIMEOUT, tell: Tell = lambda line: None) -> Iterator[Outcome]:
    """Compute the tasks on a cluster of this machine, of so many worker processes, that lasts as long as the run.

    Scheduler and Dask worker are threads of this process; what computes are processes, as ever.
    """
    cluster = _distributed().LocalCluster(
        processes=False,
        n_workers=1,
        threads_per_worker=count,
        memory_limit=0,  # most of it is our own processes', of which Dask knows nothing
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    try:
        yield from running(plan, cluster.scheduler_address, timeout, tell)
    finally:
        cluster_worker.stop_all()
        with suppress(Exception):
            cluster.close(timeout=0.5)


class _Run:
    """What is still to do of a plan, whichever scheduler it is given to.

    todo: not given out. _doubtful: given out as the scheduler was lost. _killed: how often a sample's Dask worker, not
    only our process in it, was killed.
    """

    def __init__(self, plan: Plan, timeout: float, tell: Tell) -> None:
        self.todo = deque(plan.longest_first)
        self._plan, self._timeout, self._tell = plan.bare(), timeout, tell
        self._job = cluster_worker.Job.of(self._plan, timeout)
        self._doubtful: list[Task] = []
        self._alone: deque[Task] = deque()
        self._killed: Counter[str] = Counter()
        self._out: dict[Future, list[Task]] = {}
        self._pace: float | None = None  # seconds per sample

    def drive(self, client: Client) -> Generator[Outcome, None, bool]:
        """Give out what is to do and gather what became of it; the generator's value: whether that was cut short."""
        back: SimpleQueue[Future] = SimpleQueue()
        threads, looked = 0, -_LOOK
        try:
            while self.todo or self._alone or self._out:
                if time.monotonic() > looked + _LOOK:
                    threads, looked = self._threads(client, threads), time.monotonic()
                while len(self._out) < max(_ALONE, _AHEAD * threads) and (batch := self._batch(threads)):
                    future = client.submit(
                        cluster_worker.compute, self._job, batch, key=f"mepipe-{uuid.uuid4().hex}", pure=False
                    )
                    self._out[future] = batch
                    future.add_done_callback(back.put)
                yield from self._gather(client, back)
        except _Lost:
            self._doubtful += [task for batch in self._out.values() for task in batch]
            self._out.clear()
            return True
        except BaseException:  # Ctrl-C, too
            with suppress(Exception):
                client.cancel(list(self._out), force=True)
            self._out.clear()
            self._end(client)
            raise
        self._end(client)
        return False

    def _threads(self, client: Client, before: int) -> int:
        if client.status != "running":
            raise _Lost
        try:
            threads = sum(client.nthreads().values())
        except Exception:
            raise _Lost from None
        if not threads and (before or not self._out):
            self._tell("The cluster has no workers. Waiting for the first: dask worker ADDRESS --nthreads N")
        return threads

    def _batch(self, threads: int) -> list[Task]:
        if self._alone:
            return [self._alone.popleft()]
        size = 1 if self._pace is None else round(_BATCH_SECONDS / max(self._pace, 1e-6))
        fair = -(-len(self.todo) // max(1, 2 * threads))  # so that all end together
        return [self.todo.popleft() for _ in range(max(1, min(size, fair, _BATCH_MOST))) if self.todo]

    def _gather(self, client: Client, back: SimpleQueue[Future]) -> Iterator[Outcome]:
        """What became of the batches that have come back; waits for one, not for long."""
        futures = _waiting(back)
        good = [future for future in futures if future.status == "finished"]
        if good:
            try:
                results: list[Any] = client.gather(good)
            except Exception as error:  # lost on the way, with the worker that had them
                if client.status != "running" or any(future.cancelled() for future in good):
                    raise _Lost from None
                raise self._translated(error) from error
            for future, (outcomes, seconds) in zip(good, results, strict=True):
                pace = seconds / len(self._out.pop(future))
                self._pace = pace if self._pace is None else 0.8 * self._pace + 0.2 * pace
                yield from outcomes
        for future in futures:
            if future.status == "error":
                yield from self._failed(self._out.pop(future), future.exception())
            elif future.status == "cancelled":
                raise _Lost
            elif future in self._out:  # lost with its worker, and computed again
                future.add_done_callback(back.put)

    def _failed(self, batch: list[Task], error: BaseException | None) -> Iterator[Outcome]:
        """A batch that Dask gave up: whoever was given it, died. Its samples are tried again, each alone."""
        from distributed.scheduler import KilledWorker

        if not isinstance(error, KilledWorker):
            raise self._translated(error)
        outcomes, rest = recorded(self._plan, batch)
        yield from outcomes
        for task in rest:
            self._killed[task.sample.id] += 1
            if self._killed[task.sample.id] > 1:
                reason = "the Dask workers that were computing it were killed, twice (memory?)"
                yield tasks.quarantine(self._plan, task, reason)
            else:
                self._alone.append(task)

    def _translated(self, error: BaseException | None) -> MepipeError:
        if isinstance(error, MepipeError):
            return error
        msg = (
            f"A Dask worker cannot compute: {type(error).__name__}: {error}. It needs the same versions of Python, "
            "mepipe and Dask as this process (docs/scale.md)."
        )
        return MepipeError(msg)

    def finished_meanwhile(self) -> Iterator[Outcome]:
        """What workers finished of what was given out as the scheduler was lost; the rest is to do."""
        outcomes, rest = recorded(self._plan, self._doubtful)
        self._doubtful = []
        self.todo.extendleft(reversed(rest))
        yield from outcomes

    def _end(self, client: Client) -> None:
        """Let the worker processes of this run end, whatever they are at."""
        with suppress(Exception):
            client.run(cluster_worker.stop, self._job.id, wait=False, on_error="ignore")


def recorded(plan: Plan, asked: list[Task]) -> tuple[list[Outcome], list[Task]]:
    """Of these tasks, what became of those that the store has in full, and those that it has not."""
    nodes = {name for task in asked for name in task.wanted}
    paths = {name: f"{plan.snapshot}/{plan.nodes[name].folder}" for name in nodes}
    known = {name: plan.store.feature(path).ledger.records() for name, path in paths.items()}
    outcomes, rest = [], []
    for task in asked:
        records = {name: known[name].get(task.sample.id) for name in task.wanted}
        if all(r and r.turn >= task.wanted[name] and r.state != "damaged" for name, r in records.items()):
            outcome = Outcome(task.sample.id)
            for name, record in records.items():
                assert record is not None
                if record.state == "done":
                    outcome.done.append(name)
                else:
                    outcome.failed[name] = record.reason
            outcomes.append(outcome)
        else:
            rest.append(task)
    return outcomes, rest


def _waiting(back: SimpleQueue[Future]) -> list[Future]:
    """All that have come back; waits for the first, not for long."""
    found = []
    with suppress(Empty):
        found.append(back.get(timeout=_LOOK))
        while True:
            found.append(back.get_nowait())
    return found


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        msg = "Dask's scheduler is not installed here. Install it with: pip install 'mepipe[dask]'"
        raise UsageError(msg) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say is said by us
    return distributed


@contextmanager
def _client(address: str) -> Iterator[Client]:
    """A client of the scheduler there; UsageError where none answers."""
    try:
        client = _distributed().Client(address, timeout=_CONNECT, set_as_default=False, name="mepipe")
    except (OSError, ValueError, TypeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        msg = f"No Dask scheduler answers at {address} ({why}). Start one: dask scheduler; see docs/scale.md."
        raise UsageError(msg) from None
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=0.5)


def _tell_dashboard(client: Client, tell: Tell) -> None:
    if "dashboard" in client.scheduler_info(n_workers=0).get("services", {}):
        tell(f"Dask's dashboard: {client.dashboard_link}")
