"""The baselines against hand-computed cases, and each on maps that a glance tells apart."""

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.models import configs, declare, maps, ststnet  # noqa: E402
from mepipe.train import folds, stacked  # noqa: E402
from mepipe.train.protocols import Fold  # noqa: E402

CPU = torch.device("cpu")
FITTED = ("majority", "logistic")
TRAINED = ("mlp", "ststnet", "resnet18-flow")


def toy(count=48, size=56, seed=0):
    """Maps whose class is where the face moves: read, sample ids, labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    y, x = np.mgrid[:size, :size] / size
    read = {}
    for i, label in enumerate(labels):
        cy, cx = ((0.2, 0.5), (0.7, 0.25), (0.7, 0.75))[label]
        bump = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.02) * rng.uniform(0.7, 1.3)
        read[f"s{i}"] = (np.stack([0.3 * bump, -bump, bump]) + 0.1 * rng.standard_normal((3, size, size))).astype("f4")
    return {"motion-map": read}, list(read), torch.from_numpy(labels)


def arranged(name, config, read, ids, labels):
    samples = folds.Samples(tuple(ids), labels, declare.get(name).inputs(config, read, ids))
    return samples, Fold("one", tuple(ids[:36]), tuple(ids[36:]))


@pytest.mark.parametrize("name", FITTED + TRAINED)
def test_every_configuration_is_declared_as_the_commands_expect(name):
    known, model = configs.configurations(name), declare.get(name)
    assert next(iter(known)) == "paper"
    assert "tiny" in known
    assert model.name == name
    for config in known.values():
        assert all(field.description for field in type(config).model_fields.values())
        assert model.features(config) == ("motion-map",)
        assert model.weights(config) == ()


def test_options_and_help_need_no_torch():
    code = (
        "import sys; from mepipe.models import configs; [configs.configurations(n) for n in configs.SUMMARIES]; "
        "sys.exit(len({'torch', 'timm', 'sklearn', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", TRAINED)
def test_a_network_learns_what_a_glance_tells_apart(name):
    # eleven million parameters take a third of a second a step
    config = configs.choose(name, "tiny", {"size": 32, "epochs": 3} if name == "resnet18-flow" else {})
    samples, fold = arranged(name, config, *toy())
    model = declare.get(name)
    how = folds.How(model.schedule(config), 0, CPU)
    record = folds.train_fold(fold, samples, model.build(config, ["a", "b", "c"], {}, 0), how)
    assert record["predicted"][-1] == record["labels"]


def test_logistic_regression_learns_it_too():
    config = configs.choose("logistic")
    read, ids, labels = toy()
    (x,) = declare.get("logistic").inputs(config, read, ids)
    assert x.shape == (48, 6 * 8 * 8)
    fitted = declare.get("logistic").estimator(config).fit(x[:36].numpy(), labels[:36].numpy())
    assert fitted.predict(x[36:].numpy()).tolist() == labels[36:].tolist()


def test_logistic_regression_scales_by_what_it_is_fitted_to_alone():
    x = np.random.default_rng(0).standard_normal((30, 6)) * [1, 2, 3, 4, 5, 60] + 7
    estimator = declare.get("logistic").estimator(configs.choose("logistic")).fit(x[:20], np.arange(20) % 2)
    np.testing.assert_allclose(estimator[0].mean_, x[:20].mean(axis=0))
    np.testing.assert_allclose(estimator[0].scale_, x[:20].std(axis=0))


def test_majority_by_hand():
    read, ids, _ = toy(9)
    (x,) = declare.get("majority").inputs(configs.choose("majority"), read, ids)
    fitted = declare.get("majority").estimator(configs.choose("majority"))
    fitted.fit(x[:6].numpy(), np.array([2, 0, 2, 1, 2, 0]))
    assert fitted.predict(x[6:].numpy()).tolist() == [2, 2, 2]
    np.testing.assert_allclose(fitted.predict_proba(x[6:].numpy())[0], [2 / 6, 1 / 6, 3 / 6])


def test_majority_takes_any_array_since_it_reads_none():
    (x,) = declare.get("majority").inputs(configs.choose("majority"), {"mine": {}}, ["a", "b"])
    assert x.tolist() == [[0], [0]]


@pytest.mark.parametrize(("name", "configuration"), [("mlp", "paper"), ("ststnet", "plain")])
def test_stackable_folds_train_as_one_as_they_train_alone(name, configuration):
    config = configs.choose(name, configuration, {"epochs": 3})
    model = declare.get(name)
    samples, _ = arranged(name, config, *toy(18))
    ids = samples.ids
    made = [Fold(f"f{k}", tuple(i for i in ids if i not in test), test) for k, test in enumerate((ids[:3], ids[4:9]))]
    how, build = folds.How(model.schedule(config), 0, CPU), model.build(config, ["a", "b", "c"], {}, 0)
    assert build().stackable
    together = {record["fold"]: record for record in stacked.train_folds(made, samples, build, how)}
    for fold in made:
        alone = folds.train_fold(fold, samples, build, how)
        # float32 sums in another order, through the first steps of Adam, which divides small gradients by themselves
        np.testing.assert_allclose(together[fold.name]["losses"], alone["losses"], rtol=1e-3)
        np.testing.assert_allclose(together[fold.name]["probabilities"], alone["probabilities"], atol=1e-3)


def test_networks_that_draw_or_normalise_by_batch_are_not_stackable():
    for changes in ({"norm": True}, {"dropout": 0.5}):
        config = configs.choose("ststnet", "plain", changes)
        assert not declare.get("ststnet").build(config, ["a", "b", "c"], {}, 0)().stackable
    assert not declare.get("resnet18-flow").build(configs.choose("resnet18-flow"), ["a", "b", "c"], {}, 0)().stackable


def size_of(name, configuration="paper"):
    learner = declare.get(name).build(configs.choose(name, configuration), ["a", "b", "c"], {}, 0)()
    return sum(p.numel() for p in learner.parameters())


def test_parameters_by_hand():
    convolutions = 28 * (3 + 5 + 8)  # 3x3x3 and a bias for each filter
    assert size_of("ststnet") == convolutions + 2 * 16 + 3 * 400 + 3
    assert size_of("ststnet", "plain") == convolutions + 3 * 400 + 3
    assert size_of("mlp") == 6 * 4 * 4 * 16 + 16 + 16 * 3 + 3
    # torchvision's 11,689,512 have a head of 1000 classes
    assert size_of("resnet18-flow") == 11_689_512 - 513 * 1000 + 513 * 3


@pytest.mark.parametrize("place", [(0, 0), (13, 27), (26, 4)])
def test_ststnet_sees_a_pixel_where_it_is(place):
    net = ststnet.STSTNet(3, configs.choose("ststnet", "plain"))
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.streams[2][0].weight[7, 2, 1, 1] = 1  # the last filter of the last stream copies strain
        image = torch.zeros(1, 3, 28, 28)
        image[0, 2, place[0], place[1]] = 6
        # padded by 2, a pixel stands one further; cells of 3 begin at -1; then cells of 2
        y, x = ((p + 2) // 3 // 2 for p in place)
        net.head.weight[1, 15 * 25 + 5 * y + x] = 1
        np.testing.assert_allclose(net(image)[0].numpy(), [0, 6 / 4, 0])


@pytest.mark.parametrize("name", ["mlp", "ststnet", "resnet18-flow"])
def test_what_is_standardised_is_fitted_to_the_training_samples(name):
    config = configs.choose(name, "tiny")
    samples, fold = arranged(name, config, *toy())
    train = samples.rows(fold.train)
    learner = declare.get(name).build(config, ["a", "b", "c"], {}, 0)()
    learner.fit(samples.batch(rows, CPU) for rows in train.split(7))
    expected = maps.Standardise(samples.inputs[0].shape[1])
    expected.fit([samples.inputs[0][train].float()])
    np.testing.assert_allclose(learner.standardise.mean.numpy(), expected.mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(learner.standardise.deviation.numpy(), expected.deviation.numpy(), rtol=1e-5)
