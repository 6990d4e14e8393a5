"""mepipe store push and pull, and extract with an upstream, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mepipe import store as stores
from mepipe.cli import cli
from mepipe.errors import UsageError
from tests.store.test_sync import make, state


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a store, and no settings of this machine."""
    for name in ("MEPIPE_STORE", "MEPIPE_UPSTREAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "cache" / "features.zarr", failing="s3")
    return tmp_path


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["store", *arguments])
    assert result.exit_code == status, result.output
    return result.output


def test_faces_stay_unless_asked_for(at: Path) -> None:
    output = run("push", str(at / "team"))
    assert "left out" in output
    assert "/align-" in output.split("left out")[1].splitlines()[0]
    assert [f.attributes["node"] for f in stores.open(at / "team").all()] == ["flow"]
    run("push", str(at / "team"), "--with-faces")
    assert state(stores.open(at / "team")) == state(stores.open(at / "cache/features.zarr"))


def test_nothing_but_faces_is_nothing_to_push(at: Path) -> None:
    assert "Nothing is left to push" in run("push", str(at / "team"), "--feature", "tiny/align", status=2)
    assert not (at / "team").exists()


def test_a_dry_run_says_what_would_move_and_moves_nothing(at: Path) -> None:
    found = json.loads(run("push", str(at / "team"), "--with-faces", "--dry-run", "--json"))
    assert [row["samples"] for row in found["features"]] == [5, 5]
    assert [row["bytes"] for row in found["features"]] == [4 * 2 * 64 * (21 + 26 + 31 + 41 + 46)] * 2
    assert not (at / "team").exists()


def test_pull_takes_faces_and_names_what_is_damaged(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("push", str(at / "team"), "--with-faces")
    flow = stores.open(at / "team").feature("tiny/flow")
    flow.place.remove(flow.chunks(1)[0])
    monkeypatch.setenv("MEPIPE_STORE", str(at / "other"))
    monkeypatch.setenv("MEPIPE_UPSTREAM", str(at / "team"))
    output = run("pull", status=1)
    assert f"damaged: {flow.path}: s1: " in output
    assert {f.attributes["node"]: len(f.done) for f in stores.open(at / "other").all()} == {"align": 5, "flow": 4}


def test_a_store_is_not_pushed_to_itself(at: Path) -> None:
    result = CliRunner().invoke(cli, ["store", "push", "cache/features.zarr"])
    assert isinstance(result.exception, UsageError)


def test_pull_needs_to_know_from_where(at: Path) -> None:
    assert "MEPIPE_UPSTREAM" in run("pull", status=2)
