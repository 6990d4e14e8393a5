"""Worker processes of this machine. Of each is known what it computes and since when.

So one that dies or hangs costs its own sample something, and no other. A worker is told its plan once, then one task
after another through a pipe of its own; it writes to the store itself, and says in a few hundred bytes what became of
the task. When the pipe closes, because whoever asked has ended, it ends after the sample it is at.
"""

from __future__ import annotations

import importlib
import signal
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess, current_process

from mepipe.errors import MepipeError
from mepipe.run import devices, preload, threads
from mepipe.run import task as tasks
from mepipe.run.plan import Plan, Task
from mepipe.run.task import Outcome

TIMEOUT = 3600.0  # seconds for one sample
_START = 300.0  # seconds for a worker to start: a cold network disk takes its time
_STILLBORN = 3  # workers in a row that end while they start
_IDLE = 600.0  # seconds without a task after which a worker ends
_LAST_WORDS = 0.7  # seconds between asking a process to end and making it
_END = 10.0  # seconds for the system to say how a process ended whose pipe is closed


class Stopped(Exception):
    """The pool was told to stop, by another thread."""


@dataclass(eq=False)
class _Worker:
    """since: by the monotonic clock, when it began what it is at: its task, or to start."""

    process: BaseProcess
    pipe: Connection
    since: float
    started: bool = False
    task: Task | None = None


class Pool:
    """Up to `size` worker processes that compute the tasks of one plan; they start when there is something to do.

    timeout: seconds for one sample. A sample whose worker is killed is tried again when all others are done, alone, in
    case it was memory that lacked; the second time it is recorded as failed, as one that takes too long is the first
    time. Both are tried again by a later run. For one thread at a time, but for `stop`.
    """

    def __init__(self, plan: Plan, size: int, timeout: float = TIMEOUT) -> None:
        self._plan = plan.bare()
        self._size, self._timeout = size, timeout
        self._workers: list[_Worker] = []
        self._back: deque[Task] = deque()  # given to a worker that ended before it began
        self._stillborn = 0
        self._stopped = False

    def run(self, todo: Iterable[Task]) -> Iterator[Outcome]:
        """Compute tasks, in no particular order. MepipeError for what stops the store itself; Stopped."""
        killed: list[tuple[Task, str]] = []
        yield from self._pass(todo, self._size, killed)
        if killed:
            self.close()  # what the others hold may be what lacked
        for task, _ in killed:
            again: list[tuple[Task, str]] = []
            yield from self._pass([task], 1, again)
            for _, how in again:
                yield tasks.quarantine(self._plan, task, f"the worker process was killed twice while computing it{how}")

    def stop(self) -> None:
        """Make `run` raise Stopped, soon: workers are killed. From any thread."""
        self._stopped = True
        for worker in list(self._workers):
            worker.process.kill()

    def close(self) -> None:
        """End the workers now: what they were doing is not in the ledger, and is done again by the next run."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.pipe.close()
            worker.process.terminate()
        until = time.monotonic() + _LAST_WORDS
        for worker in workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.exitcode is None:
                worker.process.kill()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _pass(self, todo: Iterable[Task], size: int, killed: list[tuple[Task, str]]) -> Iterator[Outcome]:
        """Run tasks; those whose worker was killed, and how, go to `killed`."""
        queue = iter(todo)
        while True:
            self._heed()
            while self._room(size) and (task := self._back.popleft() if self._back else next(queue, None)):
                self._give(task)
            busy = [worker for worker in self._workers if worker.task]
            if not busy:
                return
            first = min(map(self._limit, busy))
            heard = wait_for([worker.pipe for worker in busy], max(0.0, first - time.monotonic()))
            self._heed()
            for worker in busy:
                if worker.pipe in heard:
                    yield from self._hear(worker, killed)
                elif time.monotonic() > self._limit(worker) and not worker.pipe.poll():
                    yield self._give_up(worker)

    def _heed(self) -> None:
        if self._stopped:
            raise Stopped

    def _limit(self, worker: _Worker) -> float:
        return worker.since + (self._timeout if worker.started else _START)

    def _room(self, size: int) -> bool:
        return len(self._workers) < size or any(worker.task is None for worker in self._workers)

    def _give(self, task: Task) -> None:
        """To one that is free, or else to a new one."""
        for worker in [w for w in self._workers if w.task is None]:
            try:
                worker.pipe.send(task)
            except OSError:  # it has ended, having had nothing to do for long
                self._drop(worker)
                continue
            worker.task, worker.since = task, time.monotonic()
            return
        worker = _start(self._plan)
        self._workers.append(worker)
        worker.task = task
        with suppress(OSError):  # what became of it is heard later
            worker.pipe.send(task)

    def _hear(self, worker: _Worker, killed: list[tuple[Task, str]]) -> Iterator[Outcome]:
        assert worker.task is not None
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            how = self._drop(worker)
            if worker.started:
                killed.append((worker.task, how))
                return
            self._back.append(worker.task)
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                msg = f"Worker processes end while they start{how}. See what stops them: --workers 0, or mepipe doctor."
                raise MepipeError(msg) from None
            return
        if said is None:
            worker.started, worker.since, self._stillborn = True, time.monotonic(), 0
        elif isinstance(said, Outcome):
            worker.task = None
            yield said
        else:
            raise said

    def _give_up(self, worker: _Worker) -> Outcome:
        assert worker.task is not None
        worker.process.kill()
        self._drop(worker)
        if not worker.started:
            msg = f"A worker process has not started in {_START:.0f} s. Look at the disk that Python is loaded from."
            raise MepipeError(msg)
        reason = f"took longer than {self._timeout:g} s, and was stopped. Give it more time (--timeout), or look at it"
        return tasks.quarantine(self._plan, worker.task, reason)

    def _drop(self, worker: _Worker) -> str:
        """Forget a worker that has ended, or is about to; returns how, where that is known."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join(_END)
        code = worker.process.exitcode
        if code is None or code >= 0:
            return f" (exit status {code})" if code else ""
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f" ({name}: out of memory?)" if name == "SIGKILL" else f" ({name})"


def _start(plan: Plan) -> _Worker:
    ours, theirs = preload.context().Pipe()
    process = preload.context().Process(target=_serve, args=(theirs, plan), daemon=True)  # type: ignore[attr-defined]
    with threads.environment(), _leave_to_have_children():
        process.start()
    theirs.close()
    return _Worker(process, ours, time.monotonic())


@contextmanager
def _leave_to_have_children() -> Iterator[None]:
    """A Dask worker is daemonic, and must have no children lest they outlive it. Ours end when their pipe closes."""
    config = current_process()._config  # type: ignore[attr-defined]
    daemon = config.pop("daemon", None)
    try:
        yield
    finally:
        if daemon is not None:
            config["daemon"] = daemon


def _serve(pipe: Connection, plan: Plan) -> None:
    """The life of a worker. It says None when it has started, and then, of each task, what became of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with suppress(EOFError, OSError):  # nobody listens any more
        try:
            load(plan)
            threads.hold()
            preload.settle()
        except Exception as error:
            pipe.send(_told(error))
            return
        pipe.send(None)
        while pipe.poll(_IDLE):
            task = pipe.recv()
            try:
                outcome = tasks.run(plan, task)
            except Exception as error:
                pipe.send(_told(error))
                return
            pipe.send(outcome)


def load(plan: Plan) -> None:
    """Load what a plan's stages need, and set their device up: loaded within a task, threads could not be held."""
    for module in [*plan.modules, *(["torch"] if plan.networks else [])]:
        with suppress(ImportError):  # who needs it says so, of its own sample
            importlib.import_module(module)
    devices.prepare(plan.device)


def _told(error: Exception) -> Exception:
    """An error as it can travel: one of mepipe's own, and where it came from as a note."""
    message = str(error) if isinstance(error, (MepipeError, OSError)) else f"{type(error).__name__}: {error}"
    told = MepipeError(message)
    told.add_note("".join(traceback.format_exception(error)))
    return told
