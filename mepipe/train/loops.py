"""How the folds of a job are trained: by scikit-learn, stacked, in processes, or one after another."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import nn

from mepipe import cores
from mepipe.errors import MepipeError
from mepipe.models.learner import Learner
from mepipe.train import runfolder, stacked
from mepipe.train.folds import How, Samples, record, reproducible, train_fold
from mepipe.train.protocols import Fold

if TYPE_CHECKING:
    from mepipe.train.jobs import Job

OnEpoch = Callable[[str, int], object]


def train(job: Job, folds: Sequence[Fold], folder: Path, processes: int | None, on_epoch: OnEpoch) -> None:
    """Train these folds, each written into the run folder as soon as it is done."""
    with reproducible(job.how.seed, job.how.device):
        samples = job.samples()
        if job.model.estimator is not None:
            for fold in folds:
                runfolder.write_fold(folder, fold, _fit(job.model.estimator(job.parameters), fold, samples, job.how))
                on_epoch(fold.name, job.how.schedule.epochs)
            return
        build = job.build()
        together = stackable(build(), job.how)
    if together:
        _stack(job, folds, samples, build, folder, on_epoch)
        return
    one = _One(job, samples, build, folder)
    count = min(len(folds), processes or (1 if job.how.device.type == "cuda" else cores.available()))
    if count > 1:
        in_processes(one, folds, count, on_epoch)
    else:
        for fold in folds:
            one(fold, on_epoch)


def stackable(learner: Learner, how: How) -> bool:
    """Whether folds are better trained as one. Convolutions are as slow stacked on a CPU as one by one."""
    plain = how.stopping is None and how.schedule.accumulate == 1 and not how.bf16 and not how.compiled
    plain = plain and not (how.schedule.clip_norm or how.schedule.floor)  # of one network's gradients and steps
    convolves = any(isinstance(module, nn.Conv2d | nn.Conv3d) for module in learner.modules())
    return learner.stackable and plain and (how.device.type == "cuda" or not convolves)


def _stack(
    job: Job,
    lacking: Sequence[Fold],
    samples: Samples,
    build: Callable[[], Learner],
    folder: Path,
    on_epoch: OnEpoch,
) -> None:
    wanted = {fold.name: fold for fold in lacking}

    def told(name: str) -> None:
        if name in wanted:
            on_epoch(name, 1)

    def keep(fold: Fold, learner: Learner) -> None:
        if job.checkpoints and fold.name in wanted:
            runfolder.write_checkpoint(folder, fold, learner)

    for found in stacked.train_folds(job.folds, samples, build, job.how, told, keep, wanted):
        runfolder.write_fold(folder, wanted[found["fold"]], found)


class _One:
    """Trains one fold and writes what comes of it."""

    def __init__(self, job: Job, samples: Samples, build: Callable[[], Learner], folder: Path) -> None:
        self.job, self.samples, self.build, self.folder = job, samples, build, folder

    def __call__(self, fold: Fold, on_epoch: OnEpoch) -> None:
        def done() -> None:
            on_epoch(fold.name, 1)

        def keep(learner: Learner) -> None:
            if self.job.checkpoints:
                runfolder.write_checkpoint(self.folder, fold, learner)

        found = train_fold(fold, self.samples, self.build, self.job.how, done, keep)
        runfolder.write_fold(self.folder, fold, found)


def in_processes(one: Callable[[Fold, OnEpoch], object], folds: Sequence[Fold], count: int, on_epoch: OnEpoch) -> None:
    """Fork: samples are read once, and shared. Each process takes the next fold; one that lost its parent ends."""
    context = multiprocessing.get_context("fork")
    parent, taken, epochs, problems = os.getpid(), context.Value("q", 0), context.Value("q", 0), context.SimpleQueue()

    def told(name: str, more: int) -> None:
        with epochs.get_lock():
            epochs.value += more
        if os.getppid() != parent:
            os._exit(1)

    def work() -> None:
        while True:
            with taken.get_lock():
                number, taken.value = taken.value, taken.value + 1
            if number >= len(folds):
                return
            try:
                one(folds[number], told)
            except MepipeError as error:
                problems.put(str(error))
                raise SystemExit(1) from None

    workers = [context.Process(target=work, daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    seen = 0
    try:
        while alive := [worker for worker in workers if worker.is_alive()]:
            connection.wait([worker.sentinel for worker in alive], timeout=0.2)
            now = epochs.value
            on_epoch("", now - seen)
            seen = now
            if any(worker.exitcode for worker in workers):
                _raise(None if problems.empty() else problems.get())
        if any(worker.exitcode for worker in workers):
            _raise(None if problems.empty() else problems.get())
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _raise(problem: str | None) -> NoReturn:
    msg = problem or (
        "A process that trained folds was ended from outside, mostly for want of memory, or failed as it says above. "
        "What was finished is kept: run the same command again, with fewer --jobs."
    )
    raise MepipeError(msg)


def _fit(estimator: Any, fold: Fold, samples: Samples, how: How) -> dict[str, Any]:
    """A scikit-learn classifier of one fold: all that it fits, it fits to the training side."""
    train, test = samples.rows(fold.train), samples.rows(fold.test)
    arrays = [samples.inputs[0][rows].float().flatten(1).numpy() for rows in (train, test)]
    estimator.fit(arrays[0], samples.labels[train].numpy())
    classes = int(samples.labels.max()) + 1
    chances = torch.zeros(len(test), classes)
    chances[:, torch.from_numpy(estimator.classes_)] = torch.from_numpy(estimator.predict_proba(arrays[1])).float()
    return record(fold, fold.seed(how.seed), samples, [], [chances])
