"""Shuffled labels: whatever scores above chance then has seen what it should not have."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.models import configs, declare  # noqa: E402
from mepipe.models.learner import Schedule  # noqa: E402
from mepipe.train import folds, loops, metrics, protocols, stacked  # noqa: E402

CPU = torch.device("cpu")
TIMES = 8  # one permutation of 48 labels may score .5 by luck; the mean of eight hardly strays from 1/3 by .1


@pytest.fixture(scope="module")
def maps():
    """[u, v, strain] of 48 clips of 8 subjects: a movement in one of three places, by class."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28] / 28
    labels = [n % 3 for n in range(48)]
    values = {}
    for n, label in enumerate(labels):
        cy, cx = ((0.25, 0.5), (0.7, 0.3), (0.7, 0.7))[label]
        bump = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.02) * rng.uniform(0.7, 1.3)
        values[f"s{n // 6}_{n}"] = (np.stack([bump, -bump, bump]) + rng.normal(0, 0.1, (3, 28, 28))).astype("f4")
    return values, torch.tensor(labels)


def uf1(model, samples, config):
    how = folds.How(Schedule(1, 1, 1.0) if model.estimator else model.schedule(config), 0, CPU)
    made = protocols.folds("loso", {i: i.split("_")[0] for i in samples.ids})
    if model.estimator:
        records = [loops._fit(model.estimator(config), fold, samples, how) for fold in made]
    else:
        records = list(stacked.train_folds(made, samples, model.build(config, ["a", "b", "c"], {}, 0), how))
    true = [label for r in records for label in r["labels"]]
    return metrics.score(true, [p for r in records for p in r["predicted"][-1]], ["a", "b", "c"])["UF1"]


@pytest.mark.parametrize(("name", "changes"), [("logistic", {}), ("mlp", {"epochs": 20})])
def test_true_labels_are_learned_and_shuffled_ones_are_not(maps, name, changes):
    values, labels = maps
    model, config = declare.get(name), configs.choose(name, "tiny", changes)
    ids = tuple(values)
    inputs = model.inputs(config, {"motion-map": values}, ids)
    assert uf1(model, folds.Samples(ids, labels, inputs), config) > 0.9
    orders = [torch.randperm(48, generator=torch.Generator().manual_seed(n)) for n in range(TIMES)]
    shuffled = [uf1(model, folds.Samples(ids, labels[order], inputs), config) for order in orders]
    assert np.mean(shuffled) < 0.45, shuffled


def test_what_a_fold_is_fitted_to_is_its_training_side(maps):
    """A test sample changed beyond measure changes the scores of its own fold alone."""
    values, labels = maps
    model, config = declare.get("logistic"), configs.choose("logistic")
    ids = tuple(values)
    changed = {**values, "s0_0": values["s0_0"] * 1e3}
    made = protocols.folds("loso", {i: i.split("_")[0] for i in ids})
    how = folds.How(Schedule(1, 1, 1.0), 0, CPU)

    def of_first_fold(given):
        samples = folds.Samples(ids, labels, model.inputs(config, {"motion-map": given}, ids))
        return loops._fit(model.estimator(config), made[0], samples, how)["probabilities"]

    before, after = of_first_fold(values), of_first_fold(changed)
    assert before[0] != after[0]  # the sample itself
    assert before[1:] == after[1:]  # and no other of its fold: nothing was fitted to it
