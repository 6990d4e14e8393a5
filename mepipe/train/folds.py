"""The training loop: build, train, predict, for one fold at a time. Nothing here knows a model, a store or a path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe.errors import MepipeError
from mepipe.train.protocols import Fold


@dataclass(frozen=True)
class Samples:
    """What there is to train on, in one order: ids, int64 labels [N], and the model's inputs, each [N, ...]."""

    ids: tuple[str, ...]
    labels: Tensor
    inputs: tuple[Tensor, ...]

    def rows(self, ids: tuple[str, ...]) -> Tensor:
        """Where these samples stand, int64."""
        place = {name: i for i, name in enumerate(self.ids)}
        return torch.tensor([place[name] for name in ids])


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: Adam at a constant rate for a fixed number of epochs, in shuffled batches.

    threads: of torch on a CPU, None to leave them as they are.
    """

    epochs: int
    batch: int
    lr: float
    threads: int | None = None


def fold_seed(seed: int, fold: str) -> int:
    """The seed of one fold, from the run's seed and the fold's name alone, so that folds run in any order."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{fold}".encode()).digest()[:8], "big") >> 1  # torch takes 63 bits


@contextmanager
def reproducible(seed: int, device: torch.device, threads: int | None = None) -> Iterator[None]:
    """Torch's generator at `seed`, its deterministic algorithms on, and this many threads; all as before afterwards.

    On a CPU the same seed then gives the same bits. On CUDA torch warns of what has no deterministic form.
    """
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    threads_before = torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.set_num_threads(threads_before)


def train_fold(
    fold: Fold,
    samples: Samples,
    build: Callable[[], nn.Module],
    schedule: Schedule,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Train one fold from scratch and test it after each epoch; what is returned is JSON.

    `build` makes the model, on the CPU, from torch's generator; `seed` is the run's. The keys: fold, seed, train,
    test (ids), labels (of test), losses (mean training loss per epoch), predicted (label per epoch and test sample)
    and probabilities (last epoch: one list per test sample). The test samples steer nothing: the number of epochs is
    fixed. MepipeError when the loss stops being a number.
    """
    seed = fold_seed(seed, fold.name)
    train, test = samples.rows(fold.train), samples.rows(fold.test)
    losses: list[float] = []
    predicted: list[list[int]] = []
    probabilities = torch.empty(0)
    with reproducible(seed, device, schedule.threads):
        model = build().to(device)
        optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=schedule.lr)
        for epoch in range(schedule.epochs):
            losses.append(_epoch(model, optimiser, samples, train[torch.randperm(len(train))], schedule, device))
            if losses[-1] != losses[-1]:
                msg = (
                    f"Fold {fold.name}: the loss is not a number after epoch {epoch + 1}. Lower --lr ({schedule.lr:g})."
                )
                raise MepipeError(msg)
            probabilities = _predict(model, samples, test, schedule.batch, device)
            predicted.append(probabilities.argmax(dim=1).tolist())
            on_epoch()
    return {
        "fold": fold.name,
        "seed": seed,
        "train": list(fold.train),
        "test": list(fold.test),
        "labels": samples.labels[test].tolist(),
        "losses": losses,
        "predicted": predicted,
        "probabilities": probabilities.tolist(),
    }


def _batch(samples: Samples, rows: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    # inputs lie in memory as float16 to halve it; a model computes in float32
    return tuple(x[rows].to(device).float() for x in samples.inputs)


def _epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    samples: Samples,
    order: Tensor,
    schedule: Schedule,
    device: torch.device,
) -> float:
    model.train()
    total = torch.zeros((), device=device)
    for rows in order.split(schedule.batch):
        loss = F.cross_entropy(model(*_batch(samples, rows, device)), samples.labels[rows].to(device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += loss.detach() * len(rows)
    return float(total) / len(order)


@torch.no_grad()
def _predict(model: nn.Module, samples: Samples, rows: Tensor, batch: int, device: torch.device) -> Tensor:
    model.eval()
    logits = [model(*_batch(samples, part, device)) for part in rows.split(batch)]
    return torch.cat(logits).softmax(dim=1).cpu()
