"""`mepipe train mpt` on a real store: refusals, the run folder, resuming after a kill."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mepipe.errors import MepipeError, UsageError
from mepipe.train.metrics import score
from tests.train import stand_in
from tests.train.stand_in import ARGUMENTS, train

OUTPUTS = ("config.json", "features.json", "metrics.json", "predictions.csv", "folds/s0.json", "folds/s2.json")


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, train(root, folder)


def test_it_says_what_it_reads_then_the_scores_and_whose_weights(whole):
    folder, result = whole
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("feature   demo@")
    assert "protocol  loso: 3 folds, 3 subjects" in lines
    assert "classes   negative 3, positive 3, surprise 3" in lines
    table = result.stdout[result.stdout.index("UF1") :]
    assert "tiny, random weights" in table
    assert "oracle (selected on test data)" in table
    assert str(folder) in lines[-1]


def test_scores_are_those_of_the_saved_predictions(whole):
    folder, _ = whole
    rows = list(csv.DictReader((folder / "predictions.csv").open(encoding="utf-8")))
    metrics = json.loads((folder / "metrics.json").read_text())
    classes = ["negative", "positive", "surprise"]
    again = score([classes.index(r["true"]) for r in rows], [classes.index(r["predicted"]) for r in rows], classes)
    assert {k: metrics[k] for k in again} == again
    for r in rows:
        chances = [float(r[f"p_{c}"]) for c in classes]
        assert classes[chances.index(max(chances))] == r["predicted"]
        assert sum(chances) == pytest.approx(1, abs=1e-5)
        assert r["fold"] == r["subject"] == r["id"].split("_")[0]
    assert len(rows) == 9
    assert metrics["reported"] == "last epoch"
    assert metrics["weights"] == "tiny, random weights"
    assert metrics["oracle"]["note"] == "selected on test data"
    assert metrics["oracle"]["ACC"] >= metrics["ACC"]


def test_the_run_folder_says_what_was_read_and_by_what(whole):
    folder, _ = whole
    features = json.loads((folder / "features.json").read_text())
    read = features["read"]["demo"]
    assert set(read["features"]) == {"rank-pool", "magnify.frames"}
    assert read["snapshot"] == read["features"]["rank-pool"]["path"].split("/")[0]
    assert features["samples"]["s0_1"] == "positive"
    config = json.loads((folder / "config.json").read_text())
    assert config["configuration"] == "tiny"
    assert config["parameters"]["epochs"] == 2
    assert config["weights"] == "random"
    assert {"torch", "timm"} <= set(json.loads((folder / "environment.json").read_text())["versions"])
    for picture in ("confusion.png", "subjects.png", "curves.png"):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_resumes_to_the_same_bytes(root, whole, tmp_path):
    arguments = [*ARGUMENTS, "--store", str(root), "--run", str(tmp_path / "run"), "--device", "cpu"]
    code = "from mepipe.cli import main; main()"
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL) as process:
        first = tmp_path / "run" / "folds" / "s0.json"
        while not first.exists() and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert first.exists()
    assert not (tmp_path / "run" / "metrics.json").exists()
    kept = first.stat().st_mtime_ns
    assert train(root, tmp_path / "run").exit_code == 0
    assert first.stat().st_mtime_ns == kept
    for name in OUTPUTS:
        assert (tmp_path / "run" / name).read_bytes() == (whole[0] / name).read_bytes(), name


def test_json_goes_to_stdout_alone_and_a_finished_run_is_only_read(root, whole):
    folder, _ = whole
    before = {p.name: p.stat().st_mtime_ns for p in (folder / "folds").iterdir()}
    result = train(root, folder, "--json")
    assert json.loads(result.stdout)["run"] == str(folder)
    assert "protocol  loso" in result.stderr
    assert {p.name: p.stat().st_mtime_ns for p in (folder / "folds").iterdir()} == before


def test_a_run_begun_otherwise_is_not_mixed(root, whole):
    with pytest.raises(MepipeError, match="seed was 0, is 1"):
        train(root, whole[0], "--seed", "1")


def test_a_damaged_fold_is_named(root, whole, tmp_path):
    import shutil

    shutil.copytree(whole[0], tmp_path / "run")
    (tmp_path / "run" / "folds" / "s1.json").write_text("{")
    with pytest.raises(MepipeError, match=r"s1\.json: cannot be read"):
        train(root, tmp_path / "run")


def test_failed_samples_are_left_out_by_name(tmp_path):
    stand_in.write_store(tmp_path / "s", failed=("s1_2",), emotions={"s0_0": "Other"})
    result = train(tmp_path / "s", tmp_path / "run")
    assert "excluded  s1_2: align: no face in the onset frame" in result.stdout
    assert "left out  1 samples without a class" in result.stdout
    features = json.loads((tmp_path / "run" / "features.json").read_text())
    assert features["excluded"] == {"s1_2": "align: no face in the onset frame"}
    assert features["dropped"] == {"s0_0": "Other"}
    assert len((tmp_path / "run" / "predictions.csv").read_text().splitlines()) == 1 + 7


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"missing": ("s2_0", "s2_1")}, MepipeError, "lacks 2 of 9 samples .s2_0, s2_1.*extract --dataset demo"),
        ({"emotions": {"s0_1": "Boredom"}}, MepipeError, "Sample s0_1 has emotion 'boredom'"),
        ({"subjects": 1}, MepipeError, "at least two subjects"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_before_anything_is_written(tmp_path, changes, error, message):
    stand_in.write_store(tmp_path / "s", **changes)
    with pytest.raises(error, match=message):
        train(tmp_path / "s", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_features_of_two_states_of_a_dataset_are_not_mixed(tmp_path):
    opened = stand_in.write_store(tmp_path / "s")
    first = opened.refs("demo")["mpt"]
    stand_in.write_store(tmp_path / "s", emotions={"s0_0": "Surprise"})
    second = opened.refs("demo")["mpt"]
    opened.set_ref("demo", "mpt", first.snapshot, {"rank-pool": first.nodes["rank-pool"]})
    opened.set_ref("demo", "other", second.snapshot, {"magnify.frames": second.nodes["magnify.frames"]})
    with pytest.raises(MepipeError, match=r"of different states of demo.*extract --dataset demo --recipe mpt"):
        train(tmp_path / "s", tmp_path / "run")


def test_wrong_requests_say_what_to_type(root, tmp_path):
    for more, message in (
        (["--dataset", "samm"], "extract --dataset samm --recipe mpt"),
        (["--classes", "5", "--protocol", "lopo"], "No protocol 'lopo'"),
        (["--config", "tiy"], "no configuration 'tiy'. Did you mean 'tiny'"),
        (["--weights", str(tmp_path)], "--weights random"),
    ):
        with pytest.raises(UsageError, match=message):
            train(root, tmp_path / "run", *more)
    with pytest.raises(MepipeError, match="huggingface"):
        train(root, tmp_path / "run", "--backbone", "vit-b16", "--weights", str(tmp_path))


def test_help_and_the_command_module_import_nothing_heavy():
    code = (
        "import sys, mepipe.cli.train; print([m for m in ('torch', 'sklearn', 'pandas', 'timm') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_models_and_trainers_import_neither_opencv_nor_mediapipe():
    package = Path(__file__).parents[2] / "mepipe"
    names = [f"mepipe.{folder}.{p.stem}" for folder in ("models", "train") for p in (package / folder).glob("*.py")]
    code = (
        f"import sys, importlib; [importlib.import_module(n.removesuffix('.__init__')) for n in {names}]; "
        "print([m for m in ('cv2', 'mediapipe') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
