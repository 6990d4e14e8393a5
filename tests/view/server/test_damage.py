"""A store that is damaged, half done, or gone is shown as far as it goes, each lack with its reason."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from mepipe.view.server import catalog
from tests.view.server.conftest import client

SAMPLE = {"dataset": "synthetic", "id": "s000_03"}


def answers(page: TestClient) -> Iterator[tuple[str, Any]]:
    """All that the page would ask for one sample."""
    yield "home", page.get("/")
    yield "dataset", page.get("/api/dataset", params=SAMPLE)
    sample = page.get("/api/sample", params=SAMPLE)
    yield "sample", sample
    yield "thumbs", page.get("/thumbs", params=SAMPLE)
    for panel in sample.json().get("panels", []) if sample.status_code == 200 else []:
        query = {**SAMPLE, "panel": panel["panel"], "scale": 1}
        yield "strip", page.get("/strip", params=query)
        yield "key", page.get("/key", params=query)


def sound(root: Path) -> dict[str, Any]:
    """The last answer of each kind, none of which is a failure of the server's own."""
    found = dict(answers(client(root)))
    for name, answer in found.items():
        assert answer.status_code in (200, 404, 409), (name, answer.text)
        if answer.status_code != 200:
            assert answer.json()["error"]
    return found


def _kinds(root: Path) -> list[str]:
    """One file of each kind in the store: of chunks that of the sample asked for."""
    store = root / "features.zarr"
    (snapshot,) = store.glob("synthetic@*")
    features = sorted(snapshot.glob("*-????????"))
    files = [store / "zarr.json", store / "refs" / "synthetic" / "features.json", snapshot / "zarr.json"]
    files += [snapshot / name for name in ("id/zarr.json", "id/c/0", "apex/zarr.json", "apex/c/0", "fps/c/0", "seal")]
    for feature in features[:1]:
        names = (
            "zarr.json",
            "data/zarr.json",
            "sample/c/0",
            "position/zarr.json",
            "position/c/0/0",
            "length/c/0",
            "seal",
        )
        files += [feature / name for name in names]
        files += [*feature.glob("data/c.3.*"), *feature.glob("ledger/*.jsonl")]
    return sorted(str(path.relative_to(root)) for path in files if path.is_file())


def test_there_is_much_to_damage(lab: Path) -> None:
    assert len(_kinds(lab)) > 12


_SLOW = [pytest.param(how, marks=pytest.mark.slow) for how in ("empty", "nonsense")]


@pytest.mark.parametrize("how", ["gone", "flipped", "a folder", *_SLOW])
def test_whatever_is_damaged_the_rest_is_shown(copy: Path, how: str) -> None:
    for name in _kinds(copy):
        path = copy / name
        content = path.read_bytes()
        path.unlink()
        if how == "a folder":
            path.mkdir()
        elif how != "gone":
            flipped = bytes([*content[:-9], content[-9] ^ 255, *content[-8:]])
            path.write_bytes({"empty": b"", "flipped": flipped, "nonsense": b'{"zarr_format": 3}'}[how])
        sound(copy)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        path.write_bytes(content)


def test_a_damaged_chunk_costs_one_panel_of_one_sample(copy: Path) -> None:
    (path,) = copy.glob("features.zarr/*@*/flow.tvl1-*/data/c.3.*")
    path.write_bytes(path.read_bytes()[:-1])
    panels = {one["name"]: one for one in sound(copy)["sample"].json()["panels"]}
    assert "is damaged" in panels["flow.tvl1"]["absent"]
    assert [name for name, panel in panels.items() if "absent" in panel] == ["flow.tvl1"]


def test_a_feature_that_is_gone_leaves_the_others(copy: Path) -> None:
    (path,) = copy.glob("features.zarr/*@*/frames-*")
    shutil.rmtree(path)
    found = sound(copy)
    features = {one["node"]: one for one in found["dataset"].json()["features"]}
    assert "Gone" in features["frames"]["problem"] or "gone" in features["frames"]["problem"]
    assert not features["strain"]["problem"]
    first = found["sample"].json()["panels"][0]
    assert (first["name"], first["absent"]) == ("frames", features["frames"]["problem"])
    assert len(found["thumbs"].content) > 4  # of what there is


def test_a_damaged_ref_says_what_to_do(copy: Path) -> None:
    (copy / "features.zarr" / "refs" / "synthetic" / "features.json").write_text("{}")
    assert "extract" in sound(copy)["dataset"].json()["problem"]


def test_a_store_that_goes_away_is_missed_and_no_more(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "FRESH", 0.0)
    page = client(copy)
    assert dict(answers(page))["strip"].status_code == 200
    (copy / "features.zarr").rename(copy / "away")
    for name, answer in answers(page):
        assert answer.status_code in (200, 404, 409), name
    (copy / "away").rename(copy / "features.zarr")
    assert dict(answers(page))["strip"].status_code == 200


def test_looking_changes_nothing(copy: Path) -> None:
    def state() -> dict[Path, tuple[int, int, bytes]]:
        files = (path for path in copy.rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size, path.read_bytes()) for path in files}

    before = state()
    sound(copy)
    page = client(copy)
    for path in ("/api/runs", "/api/run?run=mlp-synthetic-1", "/picture?run=mlp-synthetic-1&picture=confusion.png"):
        assert page.get(path).status_code == 200
    assert state() == before
