"""A store that lies elsewhere is looked at in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from mepipe import store
from mepipe.store import sync
from mepipe.view.server.app import build
from tests import remotes
from tests.remotes import s3  # noqa: F401 - a fixture
from tests.view.server.conftest import HOME
from tests.view.server.test_damage import SAMPLE, answers


@pytest.mark.slow
def test_a_store_in_object_storage(s3: remotes.Tap, lab: Path) -> None:  # noqa: F811
    here, there = store.open(lab / "features.zarr"), store.create(f"{remotes.bucket(s3)}/features.zarr")
    chosen = sync.choose(here, ["synthetic/frames", "synthetic/flow.tvl1"])
    sync.run(there, sync.plan(there, chosen))
    sync.set_refs(here, there, [feature.path for feature in chosen])
    page = TestClient(build(there, lab / "runs"), base_url=HOME, raise_server_exceptions=False)
    assert {name: answer.status_code for name, answer in answers(page)} == dict.fromkeys(
        ("home", "dataset", "sample", "thumbs", "strip", "key"), 200
    )
    flow = there.feature("synthetic/flow.tvl1")
    there.place.remove(flow.chunks(5)[0])
    gone = page.get("/strip", params={**SAMPLE, "id": "s000_05", "panel": "flow.tvl1-00000003", "scale": 1})
    assert gone.status_code == 409
    assert "is damaged (gone)" in gone.json()["error"]
