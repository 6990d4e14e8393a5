"""Links in a store made by somebody who means harm: none leads out of it, for reading, writing or removing."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mepipe import store
from mepipe.errors import MepipeError
from mepipe.store import seal
from mepipe.store.feature import Feature
from mepipe.store.place import Folder
from tests.store.test_hostile import refused, use
from tests.store.test_store import IDS, again, make, put, values


@pytest.fixture
def feature(tmp_path: Path) -> Feature:
    made = make(tmp_path / "s.zarr", [5, 5, 5])
    for sample in IDS:
        put(made, sample, values(5, ord(sample)))
    return again(made)


@pytest.mark.parametrize(
    "path",
    [
        "{feature}/data/c.1.0.0.0.0",
        "{feature}/data",
        "{feature}/data/zarr.json",
        "{feature}/sample/c/0",
        "{feature}/ledger",
        "{feature}",
        "{snapshot}",
    ],
)
def test_links_that_lead_out_are_not_followed(feature: Feature, tmp_path: Path, path: str) -> None:
    place = path.format(feature=feature.path, snapshot=feature.path.split("/")[0])
    link = tmp_path / "s.zarr" / place
    (tmp_path / "elsewhere").mkdir()
    link.rename(tmp_path / "elsewhere" / "there")
    link.symlink_to(tmp_path / "elsewhere" / "there")
    fresh = Feature(Folder(tmp_path / "s.zarr"), feature.path)
    with refused("leads out of the store"):
        use(fresh)
    before = {p: p.read_bytes() for p in (tmp_path / "elsewhere").rglob("*") if p.is_file()}
    with suppress(MepipeError):
        Feature(Folder(tmp_path / "s.zarr"), feature.path).write("b", 2 * values(5))
    assert {p: p.read_bytes() for p in (tmp_path / "elsewhere").rglob("*") if p.is_file()} == before


def test_zarr_follows_no_link_that_leads_out(feature: Feature, tmp_path: Path) -> None:
    chunk = tmp_path / "s.zarr" / feature.chunks(1)[0]
    chunk.rename(tmp_path / "there")
    chunk.symlink_to(tmp_path / "there")
    other = again(feature)
    other.__dict__["_plain"] = None
    with refused("leads out of the store"):
        other["b"]
    with refused("leads out of the store"):
        other.xarray()["data"].values  # noqa: B018


def test_links_within_the_store_and_to_it_are_followed(feature: Feature, tmp_path: Path) -> None:
    chunk = tmp_path / "s.zarr" / feature.chunks(1)[0]
    chunk.rename(chunk.with_name("there"))
    chunk.symlink_to("there")
    (tmp_path / "link.zarr").symlink_to(tmp_path / "s.zarr")
    found = store.open(tmp_path / "link.zarr").feature("demo/flow")
    np.testing.assert_array_equal(found["b"], values(5, ord("b")))


def test_a_link_to_itself_is_refused(feature: Feature, tmp_path: Path) -> None:
    chunk = tmp_path / "s.zarr" / feature.chunks(1)[0]
    chunk.unlink()
    chunk.symlink_to(chunk.name)
    with refused("link to itself"):
        use(feature)


def test_nothing_outside_is_removed_or_written_through_a_link(feature: Feature, tmp_path: Path) -> None:
    (tmp_path / "mine" / "flow-0123abcd").mkdir(parents=True)
    (tmp_path / "s.zarr" / "demo@00000000").symlink_to(tmp_path / "mine")
    place = Folder(tmp_path / "s.zarr")
    with refused("leads out of the store"):
        place.remove("demo@00000000/flow-0123abcd")
    with refused("leads out of the store"):
        place.write("demo@00000000/new", b"")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["flow-0123abcd"]


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd", "data/../../../outside"])
def test_a_seal_that_names_files_elsewhere_is_no_seal(feature: Feature, name: str) -> None:
    path = f"{feature.path}/seal/zarr.json"
    document = json.loads(feature.place.read(path))
    document["attributes"]["frozen"][name] = "0" * 32
    feature.place.write(path, json.dumps(document).encode())
    assert seal.broken(feature.place, feature.path) == {"seal/zarr.json": "is gone or not a seal"}
