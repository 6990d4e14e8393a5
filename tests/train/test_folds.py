"""The fold loop on small models and on MPT: seeds, independence, learning, and chance on shuffled labels."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.models import configs, declare  # noqa: E402
from mepipe.models.learner import Learner, Schedule  # noqa: E402
from mepipe.train import folds, metrics, protocols  # noqa: E402
from tests.train import stand_in  # noqa: E402

CPU = torch.device("cpu")


class Linear(Learner):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(4, 3)

    def forward(self, x):
        return self.head(x)


def how(seed=7, schedule=None, **more):
    return folds.How(schedule or SCHEDULE, seed, CPU, **more)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    labels = torch.tensor([i % 3 for i in range(24)])
    values = torch.from_numpy(rng.standard_normal((24, 4)).astype(np.float32)) + torch.eye(3, 4)[labels] * 2
    ids = tuple(f"s{i // 6}_{i}" for i in range(24))
    samples = folds.Samples(ids, labels, (values,))
    return samples, protocols.folds("loso", {i: i.split("_")[0] for i in ids})


SCHEDULE = Schedule(epochs=4, batch=5, lr=0.05)


def test_a_fold_gives_the_same_alone_and_after_others(points):
    samples, made = points
    in_order = [folds.train_fold(f, samples, Linear, how()) for f in made]
    torch.manual_seed(99)
    backwards = [folds.train_fold(f, samples, Linear, how()) for f in reversed(made)]
    assert in_order == backwards[::-1]


def test_another_seed_gives_another_training_and_folds_have_seeds_of_their_own(points):
    samples, made = points
    one, two = (folds.train_fold(made[0], samples, Linear, how(seed)) for seed in (1, 2))
    assert one["losses"] != two["losses"]
    assert len({f.seed(s) for s in (1, 2) for f in made}) == 2 * len(made)


def test_torch_is_left_as_it_was(points):
    samples, made = points
    torch.manual_seed(3)
    before = torch.random.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    folds.train_fold(made[0], samples, Linear, how(0, Schedule(1, 5, 0.05)))
    after = torch.random.get_rng_state(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_what_is_returned_belongs_to_the_test_samples(points):
    samples, made = points
    record = folds.train_fold(made[1], samples, Linear, how(0))
    assert record["labels"] == [int(samples.labels[samples.ids.index(i)]) for i in made[1].test]
    assert np.argmax(record["probabilities"], axis=1).tolist() == record["predicted"][-1]
    np.testing.assert_allclose(np.sum(record["probabilities"], axis=1), 1, atol=1e-6)  # float32 softmax
    assert len(record["losses"]) == len(record["predicted"]) == SCHEDULE.epochs


def test_test_samples_do_not_touch_the_training(points):
    samples, made = points
    plain = folds.train_fold(made[0], samples, Linear, how(0))
    rows = samples.rows(made[0].test)
    values, labels = samples.inputs[0].clone(), samples.labels.clone()
    values[rows], labels[rows] = 1e3, 0
    other = folds.train_fold(made[0], folds.Samples(samples.ids, labels, (values,)), Linear, how(0))
    assert other["losses"] == plain["losses"]
    assert other["probabilities"] != plain["probabilities"]


def test_a_loss_that_explodes_names_the_fold(points):
    samples, made = points
    broken = folds.Samples(samples.ids, samples.labels, (samples.inputs[0] * float("nan"),))
    with pytest.raises(MepipeError, match="Fold s0: the loss is not a number after epoch 1"):
        folds.train_fold(made[0], broken, Linear, how(0))


def test_parts_of_a_batch_give_the_gradient_of_the_whole(points):
    samples, made = points
    whole = folds.train_fold(made[0], samples, Linear, how())
    parts = folds.train_fold(made[0], samples, Linear, how(schedule=dataclasses.replace(SCHEDULE, accumulate=2)))
    np.testing.assert_allclose(parts["probabilities"], whole["probabilities"], atol=1e-5)  # float32 sums
    assert parts["probabilities"] != whole["probabilities"]  # parts of 3 and 2: summed in another order


def test_what_is_reported_is_the_epoch_that_held_out_subjects_choose(points):
    samples, made = points
    samples = dataclasses.replace(samples, subjects=tuple(i.split("_")[0] for i in samples.ids))
    fast = Schedule(epochs=40, batch=5, lr=3.0)  # too fast to settle: some epoch before the last is best
    found = folds.train_fold(made[0], samples, Linear, how(0, fast, stopping=folds.Stopping(0.3, patience=5)))
    assert 1 <= len(found["predicted"]) == len(found["losses"]) < 40
    train, held = folds._hold_out(made[0], samples, folds.Stopping(0.3))
    assert sorted([*train.tolist(), *held.tolist()]) == sorted(samples.rows(made[0].train).tolist())
    who = [{samples.subjects[i] for i in rows.tolist()} for rows in (train, held)]
    assert not who[0] & who[1]
    assert not (who[0] | who[1]) & {samples.subjects[i] for i in samples.rows(made[0].test).tolist()}


def test_a_network_that_was_stopped_is_that_of_the_epoch_reported(points):
    samples, made = points
    samples = dataclasses.replace(samples, subjects=tuple(i.split("_")[0] for i in samples.ids))
    kept = []
    fast = Schedule(epochs=40, batch=5, lr=3.0)
    settings = how(0, fast, stopping=folds.Stopping(0.3, patience=5))
    found = folds.train_fold(made[0], samples, Linear, settings, keep=kept.append)
    again = folds.predict(kept[0], samples, samples.rows(made[0].test), settings)
    np.testing.assert_array_equal(again.numpy(), np.array(found["probabilities"], np.float32))


def test_rates_follow_the_schedule():
    warm = Schedule(epochs=10, batch=1, lr=1.0, warmup=4)
    assert [round(warm.rate(e), 6) for e in range(5)] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert Schedule(3, 1, 2.0, decay=0.9).rate(2) == pytest.approx(2 * 0.81)
    stepped = Schedule(80, 1, 1e-3, milestones=(40,))
    assert [stepped.rate(e) for e in (39, 40, 79)] == pytest.approx([1e-3, 1e-4, 1e-4])
    falling = Schedule(8, 1, 1.0, warmup=2, cosine=True)
    assert [falling.rate(e) for e in (2, 5)] == pytest.approx([1.0, 0.5])  # half of the way down, half of the rate


def test_groups_learn_at_their_own_rates():
    class Two(Linear):
        def rates(self):
            return [([self.head.weight], 1.0), ([self.head.bias], 0.1)]

    optimiser = Schedule(2, 1, 0.5, decay=0.9).make(Two())
    Schedule(2, 1, 0.5, decay=0.9).set_rate(optimiser, 1)
    assert [g["lr"] for g in optimiser.param_groups] == pytest.approx([0.45, 0.045])


@pytest.fixture(scope="module")
def motion():
    clips, images, labels, who = stand_in.features(subjects=5, clips=6, size=48)
    ids = tuple(who)
    read = {"rank-pool": dict(zip(ids, images, strict=True)), "magnify.frames": dict(zip(ids, clips, strict=True))}
    return folds.Samples(
        ids, torch.tensor(labels), declare.get("mpt").inputs(configs.choose("mpt", "tiny"), read, ids)
    ), who


def uf1(samples, who, epochs=8):
    model, config = declare.get("mpt"), configs.choose("mpt", "tiny", {"epochs": epochs})
    build = model.build(config, ["a", "b", "c"], {}, 0)
    records = [
        folds.train_fold(f, samples, build, how(0, model.schedule(config))) for f in protocols.folds("loso", who)
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
