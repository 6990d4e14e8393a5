"""`mepipe runs` on run folders as trainings leave them, and what papers print."""

import json
import shutil

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from mepipe.cli import cli
from mepipe.errors import UsageError
from mepipe.models import configs
from mepipe.train import runs
from tests.train import stand_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two finished runs and one that was interrupted."""
    root = tmp_path_factory.mktemp("work")
    stand_in.write_store(root / "features.zarr")
    for seed in (0, 1):
        arguments = ["train", "mpt", "--dataset", "demo", "--config", "tiny", "--weights", "random", "--epochs", "1"]
        arguments += ["--store", str(root / "features.zarr"), "--run", str(root / "runs" / f"seed-{seed}")]
        assert CliRunner().invoke(cli, [*arguments, "--seed", str(seed)], catch_exceptions=False).exit_code == 0
    shutil.copytree(root / "runs" / "seed-0", root / "runs" / "stopped")
    (root / "runs" / "stopped" / "metrics.json").unlink()
    (root / "runs" / "stopped" / "folds" / "s2.json").unlink()
    return root


@pytest.fixture(autouse=True)
def _here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def run(*arguments):
    return CliRunner().invoke(cli, ["runs", *arguments], catch_exceptions=False).stdout


def test_ls_says_how_far_each_came():
    lines = run("ls").splitlines()
    assert [line.split()[0] for line in lines] == ["seed-0", "seed-1", "stopped"]
    assert "UF1" in lines[0]
    assert "2 folds done, not finished" in lines[2]
    content = json.loads(run("ls", "--json"))
    assert [c["config"]["seed"] for c in content] == [0, 1, 0]
    assert content[2]["metrics"] is None


def test_show_has_the_scores_of_the_run_folder(folder):
    metrics = json.loads((folder / "runs" / "seed-0" / "metrics.json").read_text())
    text = run("show", "seed-0")
    assert f"UF1 {metrics['UF1']:.3f}" in text
    assert "oracle (selected on test data)" in text
    assert "95 % over subjects: UF1" in text
    assert "confusion.png" in text
    assert "not finished: run its command again" in run("show", "runs/stopped")


def test_compare_puts_the_papers_figures_beside_and_says_what_differs():
    lines = run("compare", "seed-0", "seed-1").splitlines()
    assert "differs   seed: 0, 1" in lines
    papers = [line for line in lines if line.startswith("paper, real smic")]
    assert any("table III" in line and "0.866" in line and "0.860" in line for line in papers)
    content = json.loads(run("compare", "seed-0", "seed-1", "--json"))
    assert content["differences"] == {"seed": [0, 1]}


def test_what_is_no_run_is_refused():
    with pytest.raises(UsageError, match="is no run folder"):
        run("show", "seed-7")


def test_what_papers_print_belongs_to_configurations_there_are():
    for model, paper in runs._tables().items():
        known = configs.configurations(model)
        for row in paper["rows"]:
            assert row["configuration"] in known, (model, row)
            assert all(0 < row[name] <= 100 for name in runs.SCORES if name in row)
