"""A leave-one-subject-out of a small network: folds one after another, stacked, and in processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from benchmarks.tables import Asked, Report, Table
from mepipe.models import configs, declare
from mepipe.models.learner import Learner, Schedule
from mepipe.train import folds, loops, protocols, stacked

TITLE = "Folds in one pass"
_TEXT = """\
A leave-one-subject-out of {folds} subjects, {samples} samples of random numbers, on one core unless said otherwise:
each fold trained alone, and all folds stacked (`mepipe/train/stacked.py`). Seconds: median of {rounds} rounds of CPU
time, all rows in turn; speed: median of the ratios within a round. Difference: the largest between probabilities of
the last epoch; labels: the share of predictions, of all epochs, that are the same."""


def run(quick: bool = False) -> Report:
    """68 folds and 3 rounds; when `quick` 12 folds and one round."""
    subjects, rounds = (12, 1) if quick else (68, 3)
    rng = np.random.default_rng(0)
    ids = [f"s{s:02d}_{i}" for s in range(subjects) for i in range(2 + int(rng.integers(0, 11)))]
    made = protocols.folds("loso", {i: i.split("_")[0] for i in ids})
    labels = torch.from_numpy(rng.integers(0, 3, len(ids)))
    rows, asked = [], []
    for name, learner, values, epochs in _learners(len(ids), rng):
        samples = folds.Samples(tuple(ids), labels, (torch.from_numpy(values.astype(np.float32)),))
        how = folds.How(Schedule(epochs, 16, 1e-3), 0, torch.device("cpu"))
        times = np.zeros((rounds, 2))
        for turn in range(rounds):
            for which, train in enumerate((_alone, stacked.train_folds)):
                start = time.process_time()
                found = {r["fold"]: r for r in train(made, samples, learner, how)}
                times[turn, which] = time.process_time() - start
                if which == 0:
                    alone = found
        ratio = float(np.median(times[:, 0] / times[:, 1]))
        away = max(np.abs(np.subtract(r["probabilities"], found[f]["probabilities"])).max() for f, r in alone.items())
        same = float(np.mean([np.mean(np.equal(r["predicted"], found[f]["predicted"])) for f, r in alone.items()]))
        rows.append((name, *np.median(times, axis=0).tolist(), ratio, float(away), same))
        if name.startswith("head"):
            asked += [Asked(f"{name}: stacked, relative to one by one", ratio, ">=", 8)]
            asked += [Asked(f"{name}: share of labels alike", same, ">=", 1.0)]
    header = ("network", "one by one, s", "stacked, s", "speed", "difference", "labels")
    text = _TEXT.format(folds=len(made), samples=len(ids), rounds=rounds)
    at_once, wanted = _at_once(quick)
    return Report(TITLE, text, [Table(f"{len(made)} folds", header, rows), at_once], [*asked, *wanted])


def _at_once(quick: bool) -> tuple[Table, list[Asked]]:
    """A small CNN that cannot be stacked, its folds in one process and in two, wall time."""
    subjects, epochs, rounds = (4, 2, 1) if quick else (8, 6, 3)
    rng = np.random.default_rng(1)
    ids = [f"s{s:02d}_{i}" for s in range(subjects) for i in range(20)]
    made = protocols.folds("loso", {i: i.split("_")[0] for i in ids})
    labels = torch.from_numpy(rng.integers(0, 3, len(ids)))
    samples = folds.Samples(tuple(ids), labels, (torch.from_numpy(_maps(len(ids), rng).astype(np.float32)),))
    build = declare.get("ststnet").build(configs.choose("ststnet"), ["a", "b", "c"], {}, 0)
    how = folds.How(Schedule(epochs, 16, 1e-3), 0, torch.device("cpu"))

    def one(fold: protocols.Fold, told: loops.OnEpoch) -> None:
        folds.train_fold(fold, samples, build, how, lambda: told(fold.name, 1))

    one(made[0], lambda name, more: None)  # imports
    times = np.zeros((rounds, 2))
    for turn in range(rounds):
        for which in ((0, 1), (1, 0))[turn % 2]:
            start = time.perf_counter()
            loops.in_processes(one, made, which + 1, lambda name, more: None)
            times[turn, which] = time.perf_counter() - start
    ratio = float(np.median(times[:, 0] / times[:, 1]))
    table = Table(
        f"{len(made)} folds of ststnet, which has batch normalisation and dropout",
        ("processes", "s", "speed"),
        [(1, float(np.median(times[:, 0])), 1.0), (2, float(np.median(times[:, 1])), ratio)],
        "Wall time, median; of the ratios within a round.",
    )
    return table, [Asked("folds in two processes, relative to one", ratio, ">=", 1.85)]


def _learners(count: int, rng: np.random.Generator) -> Iterator[tuple[str, Callable[[], Learner], np.ndarray, int]]:
    """Networks with random inputs, and for how many epochs they are trained here."""
    mlp = configs.choose("mlp")
    width = 6 * mlp.grid**2  # type: ignore[attr-defined]
    yield "head (mlp)", declare.get("mlp").build(mlp, ["a", "b", "c"], {}, 0), rng.standard_normal((count, width)), 5
    cnn = configs.choose("ststnet", changes={"norm": False, "dropout": 0.0})
    yield "small CNN (ststnet)", declare.get("ststnet").build(cnn, ["a", "b", "c"], {}, 0), _maps(count, rng), 1


def _maps(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((count, 3, 28, 28))


def _alone(
    made: list[protocols.Fold], samples: folds.Samples, build: Callable[[], Learner], how: folds.How
) -> list[dict]:
    return [folds.train_fold(fold, samples, build, how) for fold in made]
