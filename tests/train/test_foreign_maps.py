"""Maps computed elsewhere, imported: baselines and Ra-ICL's single-instance configuration train on them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from mepipe.cli import cli

COUNTS = {"casme2": ("disgust", "happiness", "surprise"), "smic": ("negative", "positive", "surprise")}
COUNTS["samm"] = ("anger", "happiness", "surprise")


def call(*arguments):
    result = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """[u, v, strain] of a movement in one of three places, of another size in each database, flow in pixels."""
    root = tmp_path_factory.mktemp("lab")
    rng = np.random.default_rng(0)
    for size, (dataset, emotions) in zip((40, 28, 64), COUNTS.items(), strict=True):
        folder = root / dataset
        folder.mkdir()
        rows = ["id,subject,emotion,file"]
        y, x = np.mgrid[:size, :size] / size
        for n in range(18):
            label = n % 3
            cy, cx = ((0.25, 0.5), (0.7, 0.3), (0.7, 0.7))[label]
            bump = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 0.02) * rng.uniform(0.7, 1.3)
            noise = rng.normal(0, 0.05, (3, size, size))
            np.save(
                folder / f"c{n}.npy", (np.stack([bump * (label - 1), -bump, bump]) * size / 64 + noise).astype("f4")
            )
            rows.append(f"c{n},s{n // 6},{emotions[label]},c{n}.npy")
        (folder / "list.csv").write_text("\n".join(rows))
        call("store", "import", folder, "--csv", folder / "list.csv", "--dataset", dataset, "--node", "old-maps",
             "--dims", "channel,y,x", "--channels", "u,v,strain", "--units", "px", "--no-face",
             "--store", root / "features.zarr")  # fmt: skip
    return root / "features.zarr"


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("majority", []),
        ("logistic", ["--grid", 4]),
        ("mlp", ["--grid", 4, "--epochs", 30]),
        ("ststnet", ["--epochs", 40, "--lr", 0.003]),
        ("ra-icl", ["--config", "M1", "--size", 64, "--width", 4, "--no-pool", "--epochs", 4, "--batch", 6]),
    ],
)
def test_trained_on_under_loso(store, tmp_path, model, changes):
    out = call("train", model, "--dataset", "casme2", "--feature", "old-maps", "--store", store, "--device", "cpu",
               "--run", tmp_path / "run", "--json", *changes)  # fmt: skip
    found = json.loads(out)
    assert (found["samples"], found["folds"]) == (18, 3)
    if model == "majority":  # each class in each fold as often: one of them is said of all
        assert found["ACC"] == pytest.approx(1 / 3)
    elif model != "ra-icl":  # which is shown to learn elsewhere, with more than four epochs
        assert found["UF1"] > 0.8


def test_trained_on_over_the_composite(store, tmp_path):
    three = ("--dataset", "casme2", "--dataset", "smic", "--dataset", "samm")
    out = call("train", "logistic", *three, "--protocol", "cde", "--feature", "old-maps", "--store", store,
               "--run", tmp_path / "run", "--json")  # fmt: skip
    found = json.loads(out)
    assert (found["samples"], found["folds"]) == (54, 9)
    assert set(found["datasets"]) == set(COUNTS)
    assert sum(sum(map(sum, d["confusion"])) for d in found["datasets"].values()) == 54
    assert found["UF1"] > 0.8  # flow is brought to one scale, whatever size a database's maps have
    ids = [line.split(",")[0] for line in (tmp_path / "run" / "predictions.csv").read_text().splitlines()[1:]]
    assert sum(i.startswith("smic/") for i in ids) == 18


def test_cross_database(store, tmp_path):
    out = call("train", "logistic", "--dataset", "casme2", "--dataset", "samm", "--protocol", "cross",
               "--feature", "old-maps", "--store", store, "--run", tmp_path / "run", "--json")  # fmt: skip
    assert json.loads(out)["folds"] == 2
    assert sorted(p.stem for p in (tmp_path / "run" / "folds").iterdir()) == ["casme2-to-samm", "samm-to-casme2"]


def test_a_stacked_run_that_lost_a_fold_ends_in_the_same_bytes(store, tmp_path):
    arguments = ("train", "mlp", "--dataset", "casme2", "--feature", "old-maps", "--store", store, "--device", "cpu",
                 "--epochs", 5, "--checkpoints", "--run", tmp_path / "run")  # fmt: skip
    call(*arguments)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    (tmp_path / "run" / "folds" / "s1.json").unlink()
    (tmp_path / "run" / "metrics.json").unlink()
    call(*arguments)
    after = {p.name: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == set()


def test_what_held_out_subjects_chose_is_not_called_the_last_epoch(store, tmp_path):
    arguments = ("train", "mlp", "--dataset", "casme2", "--feature", "old-maps", "--store", store, "--device", "cpu")
    stopped = json.loads(call(*arguments, "--hold-out", 0.3, "--run", tmp_path / "a", "--json", "--epochs", 30))
    assert stopped["reported"] == "epoch chosen by held-out training subjects"
    assert json.loads(call(*arguments, "--run", tmp_path / "b", "--json", "--epochs", 2))["reported"] == "last epoch"
