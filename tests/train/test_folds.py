"""The fold loop on small models and on MPT: seeds, independence, learning, and chance on shuffled labels."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.train import folds, metrics, protocols  # noqa: E402
from tests.train import stand_in  # noqa: E402

CPU = torch.device("cpu")


class Linear(torch.nn.Linear):
    def __init__(self):
        super().__init__(4, 3)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    labels = torch.tensor([i % 3 for i in range(24)])
    values = torch.from_numpy(rng.standard_normal((24, 4)).astype(np.float32)) + torch.eye(3, 4)[labels] * 2
    ids = tuple(f"s{i // 6}_{i}" for i in range(24))
    samples = folds.Samples(ids, labels, (values,))
    return samples, protocols.folds("loso", {i: i.split("_")[0] for i in ids})


SCHEDULE = folds.Schedule(epochs=4, batch=5, lr=0.05)


def test_a_fold_gives_the_same_alone_and_after_others(points):
    samples, made = points
    in_order = [folds.train_fold(f, samples, Linear, SCHEDULE, 7, CPU) for f in made]
    torch.manual_seed(99)
    backwards = [folds.train_fold(f, samples, Linear, SCHEDULE, 7, CPU) for f in reversed(made)]
    assert in_order == backwards[::-1]


def test_another_seed_gives_another_training_and_folds_have_seeds_of_their_own(points):
    samples, made = points
    one, two = (folds.train_fold(made[0], samples, Linear, SCHEDULE, seed, CPU) for seed in (1, 2))
    assert one["losses"] != two["losses"]
    assert len({folds.fold_seed(s, f.name) for s in (1, 2) for f in made}) == 2 * len(made)


def test_torch_is_left_as_it_was(points):
    samples, made = points
    torch.manual_seed(3)
    before = torch.random.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    folds.train_fold(made[0], samples, Linear, folds.Schedule(1, 5, 0.05, threads=1), 0, CPU)
    after = torch.random.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_what_is_returned_belongs_to_the_test_samples(points):
    samples, made = points
    record = folds.train_fold(made[1], samples, Linear, SCHEDULE, 0, CPU)
    assert record["labels"] == [int(samples.labels[samples.ids.index(i)]) for i in made[1].test]
    assert np.argmax(record["probabilities"], axis=1).tolist() == record["predicted"][-1]
    np.testing.assert_allclose(np.sum(record["probabilities"], axis=1), 1, atol=1e-6)  # float32 softmax
    assert len(record["losses"]) == len(record["predicted"]) == SCHEDULE.epochs


def test_test_samples_do_not_touch_the_training(points):
    samples, made = points
    plain = folds.train_fold(made[0], samples, Linear, SCHEDULE, 0, CPU)
    rows = samples.rows(made[0].test)
    values, labels = samples.inputs[0].clone(), samples.labels.clone()
    values[rows], labels[rows] = 1e3, 0
    other = folds.train_fold(made[0], folds.Samples(samples.ids, labels, (values,)), Linear, SCHEDULE, 0, CPU)
    assert other["losses"] == plain["losses"]
    assert other["probabilities"] != plain["probabilities"]


def test_a_loss_that_explodes_names_the_fold(points):
    samples, made = points
    broken = folds.Samples(samples.ids, samples.labels, (samples.inputs[0] * float("nan"),))
    with pytest.raises(MepipeError, match="Fold s0: the loss is not a number after epoch 1"):
        folds.train_fold(made[0], broken, Linear, SCHEDULE, 0, CPU)


@pytest.fixture(scope="module")
def motion():
    from mepipe.models import mpt

    clips, images, labels, who = stand_in.features(subjects=5, clips=6, size=48)
    return folds.Samples(tuple(who), torch.tensor(labels), mpt.inputs(images, clips, 112, 28)), who


def uf1(samples, who, epochs=8):
    from mepipe.models import backbones, mpt

    trunk = backbones.build("tiny", None)
    config = mpt.CONFIGURATIONS["tiny"]
    schedule = folds.Schedule(epochs, config.batch, config.lr, threads=1)
    records = [
        folds.train_fold(f, samples, lambda: mpt.MPT(copy.deepcopy(trunk), 3, config), schedule, 0, CPU)
        for f in protocols.folds("loso", who)
    ]
    true = [label for r in records for label in r["labels"]]
    return metrics.score(true, [p for r in records for p in r["predicted"][-1]], ["a", "b", "c"])["UF1"]


def test_mpt_learns_where_a_face_moves_from_other_faces(motion):
    samples, who = motion
    assert uf1(samples, who) > 0.75


def test_mpt_falls_to_chance_on_shuffled_labels(motion):
    samples, who = motion
    shuffled = samples.labels[torch.randperm(len(samples.labels), generator=torch.Generator().manual_seed(0))]
    # chance is 1/3; three standard deviations of the accuracy of 30 guesses above it
    assert uf1(folds.Samples(samples.ids, shuffled, samples.inputs), who) < 1 / 3 + 3 * (2 / 9 / 30) ** 0.5
