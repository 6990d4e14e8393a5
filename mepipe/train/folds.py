"""The training loop: build, train, predict, for one fold at a time. Nothing here knows a model, a store or a path."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mepipe.errors import MepipeError
from mepipe.models.declare import Source
from mepipe.models.learner import Learner, Schedule
from mepipe.train import also
from mepipe.train.protocols import Fold


@dataclass(frozen=True)
class Samples:
    """What there is to train on, in one order: ids, labels, and the model's inputs, each [N, ...].

    labels: int64 [N], a class each; or float32 [N, A] of 0 and 1, whether each of A action units is there.
    subjects: of each sample, needed where some of the training subjects are held out.
    """

    ids: tuple[str, ...]
    labels: Tensor
    inputs: tuple[Source, ...]
    subjects: tuple[str, ...] = ()

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.ids)}

    def rows(self, ids: Sequence[str]) -> Tensor:
        """Where these samples stand, int64."""
        return torch.tensor([self._place[name] for name in ids], dtype=torch.int64)

    def batch(self, rows: Tensor, device: torch.device) -> tuple[Tensor, ...]:
        """The inputs of some samples, float32 on a device: they lie in memory as float16 or uint8, to halve it."""
        return tuple(x[rows].to(device).float() for x in self.inputs)


@dataclass(frozen=True)
class Stopping:
    """When to stop before the last epoch, and which to report: the one with the lowest loss on held-out subjects.

    share: of the training subjects that are held out, at least one. patience: epochs without a lower loss.
    """

    share: float = 0.1
    patience: int = 10


@dataclass(frozen=True)
class How:
    """What a fold is trained with, beside data and network. bf16: matrices in bfloat16, on CUDA."""

    schedule: Schedule
    seed: int
    device: torch.device
    stopping: Stopping | None = None
    bf16: bool = False
    compiled: bool = False


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's generator at `seed`, its deterministic algorithms on, one thread on a CPU; all as before afterwards.

    The same seed then gives the same bits on any number of cores: sums are taken in one order. Several folds at once
    use the cores better than several threads in one. On CUDA torch warns of what has no deterministic form.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    threads = torch.get_num_threads()
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    else:
        torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_num_threads(threads)


def record(fold: Fold, seed: int, samples: Samples, losses: list[float], scores: list[Tensor]) -> dict[str, Any]:
    """What is kept of a fold, as JSON; scores: probabilities [test, classes] after each epoch, the last is reported.

    fold, seed, train, test (ids), labels (of test), losses (mean training loss per epoch), probabilities (one list per
    test sample), predicted (label per epoch and test sample; of action units a list); besides, what `also.said` gives.
    """
    return {
        "fold": fold.name,
        "seed": seed,
        "train": list(fold.train),
        "test": list(fold.test),
        "labels": samples.labels[samples.rows(fold.test)].to(torch.int64).tolist(),
        "losses": losses,
        "predicted": [decided(s, samples.labels).tolist() for s in scores],
        "probabilities": scores[-1].tolist(),
    }


def chances(logits: Tensor, labels: Tensor) -> Tensor:
    """Probabilities float32, on the CPU: of classes, or where labels are several to a sample, of each action unit."""
    logits = logits.float()
    return (logits.sigmoid() if labels.ndim > 1 else logits.softmax(dim=-1)).cpu()


def decided(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The likeliest class; of action units those that are likelier than not."""
    return (probabilities > 0.5).to(torch.int64) if labels.ndim > 1 else probabilities.argmax(dim=-1)


def train_fold(
    fold: Fold,
    samples: Samples,
    build: Callable[[], Learner],
    how: How,
    on_epoch: Callable[[], object] = lambda: None,
    keep: Callable[[Learner], object] = lambda learner: None,
) -> dict[str, Any]:
    """Train one fold from scratch and test it after each epoch; returns its `record`.

    `build` makes the network, on the CPU, from torch's generator. Test samples steer nothing: epochs are fixed, or held
    out training subjects decide. keep: is given the trained network. MepipeError when the loss stops being a number.
    """
    seed = fold.seed(how.seed)
    train, held = _hold_out(fold, samples, how.stopping)
    test = samples.rows(fold.test)
    losses: list[float] = []
    scores: list[Tensor] = []
    with reproducible(seed, how.device):
        learner = build().to(how.device)
        learner.fit(samples.batch(rows, how.device) for rows in train.split(how.schedule.batch))
        optimiser = how.schedule.make(learner)
        objective = torch.compile(learner.objective) if how.compiled else learner.objective
        watch = _Watch(how.stopping) if how.stopping else None
        for epoch in range(how.schedule.epochs):
            order = train[torch.randperm(len(train))]
            losses.append(_epoch(learner, objective, optimiser, samples, order, how, epoch))
            if losses[-1] != losses[-1]:
                msg = (
                    f"Fold {fold.name}: the loss is not a number after epoch {epoch + 1}. "
                    f"Lower --lr ({how.schedule.lr:g})."
                )
                raise MepipeError(msg)
            scores.append(predict(learner, samples, test, how))
            on_epoch()
            if watch and watch.over(learner, _loss(learner, samples, held, how)):
                break
        if watch:
            learner.load_state_dict(watch.state)
            losses, scores = losses[: watch.epoch + 1], scores[: watch.epoch + 1]
        keep(learner)
        said = also.said(learner, samples, test, how)
    return record(fold, seed, samples, losses, scores) | said


class _Watch:
    """Keeps the network of the epoch with the lowest loss on held-out subjects, until patience ends."""

    def __init__(self, stopping: Stopping) -> None:
        self.patience = stopping.patience
        self.lowest, self.epoch, self.seen = float("inf"), 0, -1
        self.state: dict[str, Tensor] = {}

    def over(self, learner: Learner, loss: float) -> bool:
        self.seen += 1
        if loss < self.lowest or not self.state:
            self.lowest, self.epoch, self.state = loss, self.seen, copy.deepcopy(learner.state_dict())
        return self.seen - self.epoch >= self.patience


def _hold_out(fold: Fold, samples: Samples, stopping: Stopping | None) -> tuple[Tensor, Tensor]:
    """Rows to train on, and rows of the subjects that are held out: drawn by the fold's name, the same in every run."""
    rows = samples.rows(fold.train)
    if stopping is None:
        return rows, rows[:0]
    names = np.array(samples.subjects)[rows.numpy()]
    subjects = sorted(set(names.tolist()))
    if len(subjects) < 2:
        msg = f"Fold {fold.name}: one training subject, of whom none can be held out. Train without early stopping."
        raise MepipeError(msg)
    rng = np.random.default_rng(fold.seed(0))
    count = max(1, round(len(subjects) * stopping.share))
    held = torch.from_numpy(np.isin(names, rng.choice(subjects, min(count, len(subjects) - 1), replace=False)))
    return rows[~held], rows[held]


def _epoch(
    learner: Learner,
    objective: Callable[..., Tensor],
    optimiser: torch.optim.Optimizer,
    samples: Samples,
    order: Tensor,
    how: How,
    epoch: int,
) -> float:
    learner.train()
    total = torch.zeros((), device=how.device)
    progress = epoch / how.schedule.epochs
    for n, rows in enumerate(batches := order.split(how.schedule.batch)):
        how.schedule.set_rate(optimiser, epoch, n / len(batches))
        optimiser.zero_grad()
        for part in rows.tensor_split(min(how.schedule.accumulate, len(rows))):
            with _precision(how):
                loss = objective(samples.batch(part, how.device), samples.labels[part].to(how.device), progress)
            (loss * (len(part) / len(rows))).backward()
            total += loss.detach() * len(part)
        how.schedule.step(optimiser)
        learner.after_step()
    return float(total) / len(order)


@torch.no_grad()
def predict(learner: Learner, samples: Samples, rows: Tensor, how: How) -> Tensor:
    """Probabilities float32 [rows, classes], on the CPU."""
    learner.eval()
    with _precision(how):
        logits = [learner(*samples.batch(part, how.device)) for part in rows.split(how.schedule.batch)]
    return chances(torch.cat(logits), samples.labels)


def _loss(learner: Learner, samples: Samples, rows: Tensor, how: How) -> float:
    """Mean cross-entropy of the samples."""
    found, true = predict(learner, samples, rows, how).clamp(1e-7, 1 - 1e-7), samples.labels[rows]
    if true.ndim > 1:
        return float(F.binary_cross_entropy(found, true))
    return float(F.nll_loss(found.log(), true))


def _precision(how: How) -> torch.autocast:
    return torch.autocast(how.device.type, dtype=torch.bfloat16, enabled=how.bf16)
