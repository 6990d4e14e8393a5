"""`mepipe explain` on a run of the stand-in store: pictures of its own networks, or a refusal that says what to do."""

import json
import shlex
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner  # noqa: E402

from mepipe.cli import cli  # noqa: E402
from mepipe.errors import MepipeError, UsageError  # noqa: E402
from mepipe.explain import rebuild  # noqa: E402
from tests.train import stand_in  # noqa: E402


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("store") / "features.zarr"
    stand_in.write_store(place)
    return place


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """Three folds of MPT, tiny, two epochs, with checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "kept"
    assert stand_in.train(store, folder, "--checkpoints", "--jobs", "1").exit_code == 0
    return folder


def explain(store, run, *more):
    return CliRunner().invoke(cli, ["explain", str(run), "--store", str(store), *more], catch_exceptions=False)


@pytest.fixture(scope="module")
def whole(store, run):
    result = explain(store, run, "--count", "1", "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_the_networks_that_are_shown_say_what_the_run_recorded(run, whole):
    assert [path.rsplit("/", 1)[1] for path in whole] == ["samples.png", "tsne.png", "similarity.png", "embeddings.npz"]
    records = [json.loads(path.read_text()) for path in sorted((run / "folds").glob("*.json"))]
    with np.load(run / "explain" / "embeddings.npz", allow_pickle=False) as arrays:
        logits, ids, folds = arrays["logits"], arrays["id"].tolist(), arrays["fold"].tolist()
        assert arrays["features"].shape == (9, 64)
        assert arrays["tsne: what the last layer judges by"].shape == (9, 2)
    assert ids == [sample for r in records for sample in r["test"]]
    assert folds == [r["fold"] for r in records for _ in r["test"]]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chances, [p for r in records for p in r["probabilities"]], atol=1e-5)


def test_each_sample_is_shown_by_the_network_that_was_not_trained_on_its_subject(store, run):
    trained = rebuild.rebuild(run, store, "")
    seen = {}
    for tested in trained.tested():
        seen |= dict.fromkeys(tested.fold.test, tested.fold.name)
        assert not set(tested.fold.test) & set(tested.record["train"])
    assert seen == {f"s{s}_{c}": f"s{s}" for s in range(3) for c in range(3)}


def test_pictures_of_a_sample_show_the_attention_of_its_own_fold(store, run):
    from PIL import Image

    result = explain(store, run, "s1_2")
    paths = result.stdout.split()
    assert paths == [str(run / "explain" / kind / "s1_2.png") for kind in ("attention", "gradcam")]
    for path in paths:
        picture = np.asarray(Image.open(path).convert("RGB")).astype(float)
        assert min(picture.shape[:2]) > 200
        assert np.ptp(picture, axis=-1).max() > 50, "a map has colours"
    (tested,) = rebuild.rebuild(run, store, "").tested({"s1"})
    with torch.no_grad():
        shares = tested.learner.attention(*next(tested.batches())[1])["class token"]
    assert shares.shape == (3, 7, 7)
    assert (shares.sum(dim=(1, 2)) < 1).all(), "prompts and the class token have the rest"
    assert (shares > 0).all()


def copy(run, place):
    shutil.copytree(run, place, ignore=shutil.ignore_patterns("explain"))
    return place


def test_checkpoints_of_other_networks_are_refused(store, run, tmp_path):
    other = copy(run, tmp_path / "run")
    kept = other / "checkpoints"
    shutil.copy(kept / "s1.safetensors", tmp_path / "s1")
    shutil.move(kept / "s2.safetensors", kept / "s1.safetensors")
    shutil.move(tmp_path / "s1", kept / "s2.safetensors")
    with pytest.raises(MepipeError, match=r"fold s1, built again, gives other probabilities .* Train it again: mepipe"):
        explain(store, other)


def test_checkpoints_that_lack_something_are_refused(store, run, tmp_path):
    from safetensors.torch import load_file, save_file

    other = copy(run, tmp_path / "run")
    path = other / "checkpoints" / "s0.safetensors"
    state = load_file(path)
    del state["head.weight"]
    path.unlink()
    save_file(state, path)
    with pytest.raises(MepipeError, match=r"s0\.safetensors: not what training left of fold s0 .*head\.weight"):
        explain(store, other, "s0_1")


def bare(run, place):
    """A run without networks, and the command that it is refused with."""
    shutil.rmtree(copy(run, place) / "checkpoints")
    with pytest.raises(MepipeError, match="kept no networks") as error:
        explain(place, place)
    assert str(error.value).count("\n") == 0
    return shlex.split(str(error.value).partition("Train it again: mepipe ")[2])


def test_a_run_without_networks_says_the_command_that_keeps_them(run, tmp_path):
    words = bare(run, tmp_path / "bare run")
    assert words[:4] == ["train", "mpt", "--dataset", "demo"]
    assert words[-3:] == ["--checkpoints", "--run", str(tmp_path / "bare run-kept")]
    assert words[(at := words.index("--epochs")) : at + 2] == ["--epochs", "2"]
    assert "--lr" not in words, "only what is not the configuration's own"


@pytest.mark.slow
def test_that_command_repeats_the_run(store, run, tmp_path):
    words = bare(run, tmp_path / "bare run")
    assert CliRunner().invoke(cli, [*words, "--store", str(store), "--device", "cpu"]).exit_code == 0
    kept = tmp_path / "bare run-kept"
    assert (kept / "config.json").read_bytes() == (run / "config.json").read_bytes()
    assert (kept / "predictions.csv").read_bytes() == (run / "predictions.csv").read_bytes()
    assert explain(store, kept, "s0_0").exit_code == 0


def test_wrong_requests_say_what_there_is(store, run, tmp_path):
    with pytest.raises(UsageError, match=r"was tested on 's9_9'.*s0_0, s0_1"):
        explain(store, run, "s9_9")
    with pytest.raises(UsageError, match="no run folder"):
        explain(store, tmp_path)
    fitted = copy(run, tmp_path / "fitted")
    config = json.loads((fitted / "config.json").read_text()) | {"model": "logistic"}
    (fitted / "config.json").unlink()
    (fitted / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match="logistic is fitted by scikit-learn"):
        explain(store, fitted)


def test_another_store_than_it_was_trained_from_is_refused(run, tmp_path):
    stand_in.write_store(tmp_path / "labels", emotions={"s0_0": "Surprise"})
    with pytest.raises(MepipeError, match=r"cannot be set up again: read was .*; samples was .*Name its --store"):
        explain(tmp_path / "labels", run)
    stand_in.write_store(tmp_path / "values", size=40)  # under the same names and keys
    with pytest.raises(MepipeError, match="gives other probabilities"):
        explain(tmp_path / "values", run)
