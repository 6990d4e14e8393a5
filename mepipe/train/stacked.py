"""Many folds as one: their parameters stacked, one step of all of them at a time.

A leave-one-subject-out trains the same small network dozens of times on nearly the same data; each step is then a
matrix too small for a processor to be busy with. Networks whose loss draws nothing (`Learner.stackable`) give the same
numbers this way, but for rounding: each fold has its seed, its order of samples, its optimiser's state.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from mepipe.errors import MepipeError
from mepipe.models.learner import Learner
from mepipe.train import also
from mepipe.train.folds import How, Samples, chances, record, reproducible
from mepipe.train.protocols import Fold


class _Loss(nn.Module):
    """A learner whose `forward` is its loss, so that it can be called with other parameters."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, inputs: tuple[Tensor, ...], labels: Tensor, weights: Tensor, progress: float) -> Tensor:
        return self.learner.weighted(inputs, labels, weights, progress)


def train_folds(
    folds: Sequence[Fold],
    samples: Samples,
    build: Callable[[], Learner],
    how: How,
    on_epoch: Callable[[str], object] = lambda fold: None,
    keep: Callable[[Fold, Learner], object] = lambda fold, learner: None,
    lacking: Collection[str] | None = None,
) -> Iterator[dict[str, Any]]:
    """What `folds.train_fold` returns, for each of these folds, in no order that means anything.

    Folds with as many batches in an epoch are trained together, those of a shorter last batch filled up with samples
    of weight 0. lacking: names of the folds that are wanted, by default all. Who is trained together does not depend on
    it, since sums round otherwise in other company. keep: is given each trained network. MepipeError when a fold's loss
    stops being a number.
    """
    wanted = {fold.name for fold in folds} if lacking is None else set(lacking)
    alike: dict[int, list[Fold]] = defaultdict(list)
    for fold in folds:
        alike[math.ceil(len(fold.train) / how.schedule.batch)].append(fold)
    for group in alike.values():
        if wanted & {fold.name for fold in group}:
            found = _train(group, samples, build, how, on_epoch, keep)
            yield from (one for one in found if one["fold"] in wanted)


def _train(
    group: list[Fold],
    samples: Samples,
    build: Callable[[], Learner],
    how: How,
    on_epoch: Callable[[str], object],
    keep: Callable[[Fold, Learner], object],
) -> list[dict[str, Any]]:
    learners, orders = zip(*(_begin(fold, samples, build, how) for fold in group), strict=True)
    losses: list[Tensor] = []
    scores: list[Tensor] = []
    tests = _padded([samples.rows(fold.test) for fold in group])
    with reproducible(how.seed, how.device):
        stacked, buffers = stack_module_state(list(learners))
        params = {name: nn.Parameter(value.detach().to(how.device)) for name, value in stacked.items()}
        buffers = {name: value.to(how.device) for name, value in buffers.items()}
        skeleton = learners[0].to(how.device)
        optimiser = how.schedule.make(_Stack(learners[0], params))
        for epoch in range(how.schedule.epochs):
            how.schedule.set_rate(optimiser, epoch)
            losses.append(_epoch(skeleton, params, buffers, optimiser, samples, [o[epoch] for o in orders], how, epoch))
            scores.append(_predict(skeleton, params, buffers, samples, tests, how))
            for fold, loss in zip(group, losses[-1].tolist(), strict=True):
                if loss != loss:
                    msg = f"Fold {fold.name}: the loss is not a number after epoch {epoch + 1}. Lower --lr."
                    raise MepipeError(msg)
                on_epoch(fold.name)
    for k, (fold, learner) in enumerate(zip(group, learners, strict=True)):
        learner.load_state_dict({name: value[k].detach() for name, value in {**params, **buffers}.items()})
        keep(fold, learner)
    said = [
        also.said(learner.to(how.device), samples, samples.rows(fold.test), how)
        for fold, learner in zip(group, learners, strict=True)
    ]
    return [
        record(
            fold,
            fold.seed(how.seed),
            samples,
            [float(loss[k]) for loss in losses],
            [score[k, : len(fold.test)] for score in scores],
        )
        | said[k]
        for k, fold in enumerate(group)
    ]


def _begin(fold: Fold, samples: Samples, build: Callable[[], Learner], how: How) -> tuple[Learner, list[Tensor]]:
    """A fold's network as it begins, and the order of its samples in each epoch, drawn as `train_fold` draws them."""
    train = samples.rows(fold.train)
    with reproducible(fold.seed(how.seed), how.device):
        learner = build().to(how.device)
        learner.fit(samples.batch(rows, how.device) for rows in train.split(how.schedule.batch))
        return learner, [train[torch.randperm(len(train))] for _ in range(how.schedule.epochs)]


class _Stack(Learner):
    """Parameters of all folds, in the groups of one."""

    def __init__(self, one: Learner, params: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.one, self.params = [one], params

    def rates(self) -> list[tuple[list[nn.Parameter], float]]:  # type: ignore[override]
        name = {id(p): n for n, p in self.one[0].named_parameters()}
        return [([self.params[name[id(p)]] for p in group], factor) for group, factor in self.one[0].rates()]


def _padded(rows: Sequence[Tensor]) -> Tensor:
    """Rows of all folds [folds, longest], shorter ones filled up with -1."""
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=-1)


def _gather(samples: Samples, rows: Tensor, how: How) -> tuple[Tensor, ...]:
    """Inputs [folds, batch, ...] of rows [folds, batch]."""
    flat = samples.batch(rows.clamp_min(0).flatten(), how.device)
    return tuple(x.unflatten(0, rows.shape) for x in flat)


def _epoch(
    skeleton: Learner,
    params: dict[str, nn.Parameter],
    buffers: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    samples: Samples,
    orders: list[Tensor],
    how: How,
    epoch: int,
) -> Tensor:
    """One epoch of all folds; the mean training loss of each, float32 [folds]."""
    skeleton.train()
    loss_of = _Loss(skeleton)
    progress = epoch / how.schedule.epochs

    def loss(params: Any, buffers: Any, inputs: Any, labels: Any, weights: Any) -> Tensor:
        state = {f"learner.{name}": value for name, value in {**params, **buffers}.items()}
        return functional_call(loss_of, state, (inputs, labels, weights, progress))

    order = _padded(orders)
    total = torch.zeros(len(orders), device=how.device)
    for rows in order.split(how.schedule.batch, dim=1):
        weights = (rows >= 0).float().to(how.device)
        labels = samples.labels[rows.clamp_min(0)].to(how.device)
        each = vmap(loss)(params, buffers, _gather(samples, rows, how), labels, weights)
        optimiser.zero_grad()
        each.sum().backward()
        optimiser.step()
        total += each.detach() * weights.sum(dim=1)
    return (total / (order >= 0).sum(dim=1).to(how.device)).cpu()


@torch.no_grad()
def _predict(
    skeleton: Learner,
    params: dict[str, nn.Parameter],
    buffers: dict[str, Tensor],
    samples: Samples,
    tests: Tensor,
    how: How,
) -> Tensor:
    """Probabilities float32 [folds, longest test side, classes], on the CPU."""
    skeleton.eval()

    def logits(params: Any, buffers: Any, inputs: Any) -> Tensor:
        return functional_call(skeleton, {**params, **buffers}, inputs)

    found = [
        vmap(logits)(params, buffers, _gather(samples, rows, how)) for rows in tests.split(how.schedule.batch, dim=1)
    ]
    return chances(torch.cat(found, dim=1), samples.labels)
