"""Runs as the page has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from tests.conftest import mepipe, needs_torch
from tests.view.server.conftest import client, write_run


def test_scores_bear_their_own_names(page: TestClient) -> None:
    (found,) = page.get("/api/runs").json()
    assert found["metrics"]["reported"] == "last epoch"
    assert found["metrics"]["oracle"]["note"] == "selected on test data"
    assert (found["folds"], found["config"]["model"]) == (1, "mlp")


def test_predictions_have_the_probability_of_what_was_predicted(page: TestClient) -> None:
    found = page.get("/api/run", params={"run": "mlp-synthetic-1"}).json()
    assert found["predictions"][1] == ["synthetic", "s000_01", "s000", "negative", "positive", 0.8]
    assert [row for row in found["predictions"] if row[3] != row[4]] == [found["predictions"][1]]


def test_only_pictures_of_the_run_itself_are_shown(copy: Path) -> None:
    folder = copy / "runs" / "mlp-synthetic-1"
    (folder / "link.png").symlink_to(copy / "features.zarr" / "qc" / "synthetic.json")
    page = client(copy)
    assert page.get("/api/run", params={"run": folder.name}).json()["pictures"] == ["confusion.png"]
    for file, status in (("confusion.png", 200), ("link.png", 404), ("config.json", 404), ("../x.png", 404), ("", 404)):
        assert page.get("/picture", params={"run": folder.name, "picture": file}).status_code == status


@pytest.mark.parametrize(
    "file", ["config.json", "metrics.json", "predictions.csv", "environment.json", "confusion.png"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"ACC": NaN}', b"\xff\xfe\0", b"id,true\nx", b"[" * 100_000])
def test_a_damaged_run_says_so_and_the_others_are_shown(copy: Path, file: str, content: bytes) -> None:
    write_run(copy / "runs" / "whole")
    (copy / "runs" / "mlp-synthetic-1" / file).write_bytes(content)
    page = client(copy)
    found = {run["name"]: run for run in page.get("/api/runs").json()}
    assert "problem" not in found["whole"]
    assert set(found) == {"whole", "mlp-synthetic-1"}
    if file in ("config.json", "metrics.json") and content != b"[]":
        assert "cannot be read" in found["mlp-synthetic-1"]["problem"]
    one = page.get("/api/run", params={"run": "mlp-synthetic-1"})
    assert one.status_code == 200
    json.loads(one.text, parse_constant=pytest.fail)


def test_no_folder_of_runs_is_no_error(copy: Path) -> None:
    (copy / "runs").rename(copy / "elsewhere")
    assert client(copy).get("/api/runs").json() == []


@needs_torch
@pytest.mark.slow
def test_what_training_leaves_is_read(copy: Path, workplace: dict[str, Path], tmp_path: Path) -> None:
    mepipe("train", "majority", "--dataset", "demo", "--run", copy / "runs" / "real", **workplace)
    found = client(copy).get("/api/run", params={"run": "real"}).json()
    assert {"UF1", "UAR", "ACC", "F1", "oracle", "reported", "confusion"} <= found["metrics"].keys()
    assert sum(map(sum, found["metrics"]["confusion"])) == len(found["predictions"])
    assert found["pictures"]
