"""Grad-CAM where the answer is known: by hand, as class activation mapping, and on networks that learned a place."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mepipe.explain import maps  # noqa: E402
from mepipe.models import configs, declare  # noqa: E402
from mepipe.models.configs.ra_icl import CONFIGURATIONS  # noqa: E402
from mepipe.models.learner import Learner  # noqa: E402
from mepipe.models.ra_icl import RaICL, attention  # noqa: E402
from mepipe.train import folds, protocols  # noqa: E402

CPU = torch.device("cpu")


class Corners(Learner):
    """Two channels as they come; the first class is their difference, the second only the second channel, twice."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, x):
        one, two = self.same(x).mean(dim=(2, 3)).unbind(dim=1)
        return torch.stack([one - two, 2 * two], dim=1)

    def evidence(self):
        return self.same, lambda out: out


def test_a_network_by_hand_has_its_evidence_in_the_corner_that_has_it():
    x = torch.zeros(1, 2, 4, 4)
    x[0, 0, 0, 0], x[0, 1, 3, 3] = 8.0, 4.0
    first = maps.evidence(Corners(), [x], torch.tensor([0]))
    expected = torch.zeros(1, 4, 4)
    expected[0, 0, 0] = 8 / 16  # the mean gradient of the first channel is 1 / 16; what speaks against is cut off
    torch.testing.assert_close(first, expected)
    second = maps.evidence(Corners(), [x], torch.tensor([1]))
    assert second[0, 3, 3] == pytest.approx(4 * 2 / 16)
    assert second.count_nonzero() == 1


def test_of_ra_icl_it_is_class_activation_mapping():
    """Selvaraju et al. 2017, section 3.1: with averaging and one linear layer, up to a factor."""
    torch.manual_seed(0)
    config = CONFIGURATIONS["tiny"]
    learner = RaICL(3, config).eval()
    three = torch.randn(2, 3, 3, config.size, config.size)
    target = torch.tensor([2, 0])
    found = maps.evidence(learner, [three], target)
    with torch.no_grad():
        features = learner.online.trunk(three[:, 0] / learner.scale)
        every = attention(features, learner.online.head.weight) / features[0, 0].numel()
    torch.testing.assert_close(found, torch.relu(every[torch.arange(2), target]))
    assert learner(three).requires_grad, "the network is as it was: nothing stays cut"


PLACES = ((0.2, 0.5), (0.75, 0.2), (0.75, 0.8))  # of a face: brows, and each corner of the mouth
WAYS = ((0, -1), (-1, 0), (1, 0))  # where each class moves: brows up, corners outwards


def moving(rng, label):
    """A map [u, v, strain]: the class's movement at its place, and a downward one, of no class, at another's."""
    y, x = np.mgrid[:28, :28] / 28
    other = rng.choice([n for n in range(3) if n != label])
    mine, its = (
        np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.01) * rng.uniform(0.7, 1.3)
        for cy, cx in (PLACES[label], PLACES[other])
    )
    u, v = WAYS[label]
    return (np.stack([u * mine, v * mine + its, mine + its]) + rng.normal(0, 0.05, (3, 28, 28))).astype("f4")


def test_evidence_of_a_trained_network_lies_where_the_movement_was_planted():
    """STSTNet on subjects that it was not trained on: the greatest of 5 x 5 cells is within one of its place.

    Not at the other place that moves, and not near it by chance: a cell is that near in at most 9 of 25.
    """
    rng = np.random.default_rng(0)
    labels = torch.tensor([n % 3 for n in range(48)])
    ids = tuple(f"s{n // 6}_{n}" for n in range(48))
    x = torch.from_numpy(np.stack([moving(rng, int(label)) for label in labels]))
    model, config, kept = declare.get("ststnet"), configs.choose("ststnet", "tiny", {"epochs": 15}), []
    fold = protocols.folds("kfold-2", {i: i.split("_")[0] for i in ids})[0]
    samples = folds.Samples(ids, labels, (x,))
    how = folds.How(model.schedule(config), 0, CPU)
    record = folds.train_fold(fold, samples, model.build(config, ["a", "b", "c"], {}, 0), how, keep=kept.append)
    rows = samples.rows(fold.test)
    assert record["predicted"][-1] == record["labels"]
    found = maps.evidence(kept[0].eval(), [x[rows]], labels[rows])
    for values, label in zip(found, labels[rows].tolist(), strict=True):
        row, column = divmod(int(values.argmax()), 5)
        cy, cx = PLACES[label]
        assert max(abs(row + 0.5 - 5 * cy), abs(column + 0.5 - 5 * cx)) <= 1, (row, column, label)


def test_what_a_model_does_not_answer_is_not_drawn():
    mlp = declare.get("mlp").build(configs.choose("mlp"), ["a", "b"], {}, 0)()
    x = torch.randn(1, 6 * configs.choose("mlp").grid ** 2)
    assert maps.evidence(mlp, [x], torch.tensor([0])) is None
    assert maps.attention(mlp, [x]) == []
    assert maps.of_logits(lambda target: None, [(0, "a")]) == []
