"""Many folds as one against the same folds one after another."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.models.learner import Learner, Schedule  # noqa: E402
from mepipe.train import folds, protocols, stacked  # noqa: E402

CPU = torch.device("cpu")


class Head(Learner):
    """Standardised by its training side, one hidden layer; the last bias learns slower."""

    stackable = True

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("scale", torch.ones(6))
        self.first, self.last = torch.nn.Linear(6, 8), torch.nn.Linear(8, 3)

    def fit(self, batches):
        values = torch.cat([x for (x,) in batches])
        self.mean, self.scale = values.mean(0), values.std(0)

    def forward(self, x):
        return self.last(torch.tanh(self.first((x - self.mean) / self.scale)))

    def rates(self):
        return [([self.first.weight, self.first.bias, self.last.weight], 1.0), ([self.last.bias], 0.2)]


@pytest.fixture(scope="module")
def points():
    """Eight subjects of 3 to 10 samples, so that folds differ in batches and in the length of the last one."""
    rng = np.random.default_rng(0)
    ids = [f"s{s}_{i}" for s in range(8) for i in range(3 + s)]
    labels = torch.tensor([i % 3 for i in range(len(ids))])
    values = torch.from_numpy(rng.standard_normal((len(ids), 6)).astype(np.float32)) + torch.eye(3, 6)[labels]
    return folds.Samples(tuple(ids), labels, (values,)), protocols.folds("loso", {i: i.split("_")[0] for i in ids})


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
def test_stacked_folds_are_the_folds(points, optimiser):
    samples, made = points
    how = folds.How(Schedule(6, 5, 0.05, optimiser, weight_decay=0.01, momentum=0.9, decay=0.8), 3, CPU)
    assert len({-(-len(f.train) // 5) for f in made}) > 1  # folds of different numbers of batches
    alone = {f.name: folds.train_fold(f, samples, Head, how) for f in made}
    together = {r["fold"]: r for r in stacked.train_folds(made, samples, Head, how)}
    assert together.keys() == alone.keys()
    for name, one in alone.items():
        other = together[name]
        assert {k: one[k] for k in ("fold", "seed", "train", "test", "labels", "predicted")} == {
            k: other[k] for k in ("fold", "seed", "train", "test", "labels", "predicted")
        }
        np.testing.assert_allclose(other["losses"], one["losses"], rtol=1e-4)  # float32, summed in another order
        np.testing.assert_allclose(other["probabilities"], one["probabilities"], atol=1e-4)


def test_a_fold_whose_loss_explodes_is_named(points):
    samples, made = points
    values = samples.inputs[0].clone()
    values[samples.rows(made[2].test)] = float("inf")  # trained on in all folds but this
    broken = folds.Samples(samples.ids, samples.labels, (values,))
    with pytest.raises(MepipeError, match="Fold s0: the loss is not a number"):
        list(stacked.train_folds(made, broken, Head, folds.How(Schedule(2, 5, 0.1), 0, CPU)))


def test_each_epoch_of_each_fold_is_told(points):
    samples, made = points
    told = []
    list(stacked.train_folds(made, samples, Head, folds.How(Schedule(2, 5, 0.1), 0, CPU), told.append))
    assert sorted(told) == sorted([f.name for f in made] * 2)


class Units(Head):
    """Two action units."""

    def weighted(self, inputs, labels, weights, progress):
        each = torch.nn.functional.binary_cross_entropy_with_logits(self(*inputs)[:, :2], labels, reduction="none")
        return (each.mean(dim=1) * weights).sum() / weights.sum()

    def forward(self, x):
        return super().forward(x)[:, :2]


def test_action_units_are_trained_and_decided_each_for_itself(points):
    samples, made = points
    units = torch.stack([samples.inputs[0][:, 0] > 0.3, samples.inputs[0][:, 1] > 0.5], dim=1).float()
    samples = folds.Samples(samples.ids, units, samples.inputs)
    how = folds.How(Schedule(40, 8, 0.05), 0, CPU)
    alone = {f.name: folds.train_fold(f, samples, Units, how) for f in made}
    for one in stacked.train_folds(made, samples, Units, how):
        np.testing.assert_allclose(one["probabilities"], alone[one["fold"]]["probabilities"], atol=1e-3)
    last = [r["predicted"][-1] for r in alone.values()]
    assert np.mean(np.concatenate(last) == np.concatenate([r["labels"] for r in alone.values()])) > 0.9


def test_who_is_lacking_changes_no_bit_of_the_others_and_networks_are_kept(points):
    samples, made = points
    how = folds.How(Schedule(3, 5, 0.05), 0, CPU)
    whole = {r["fold"]: r for r in stacked.train_folds(made, samples, Head, how)}
    kept = {}
    some = list(
        stacked.train_folds(made, samples, Head, how, keep=lambda f, n: kept.update({f.name: n}), lacking={"s3"})
    )
    assert some == [whole["s3"]]
    again = folds.predict(kept["s3"], samples, samples.rows(made[3].test), how)
    np.testing.assert_allclose(again.numpy(), whole["s3"]["probabilities"], atol=1e-6)  # alone: another order of sums
