from __future__ import annotations

import json
from pathlib import Path

import pytest

from mepipe import store
from tests import remotes
from tests.conftest import MODEL, has_solutions, mepipe
from tests.remotes import s3  # noqa: F401 - a fixture


def face_check(weights: Path) -> dict[str, str]:
    checks = json.loads(mepipe("doctor", "--json", check=False, MEPIPE_WEIGHTS=weights).stdout)
    return next(c for c in checks if c["what"] in ("face mesh", "face landmarker"))


def test_a_face_mesh_of_mediapipes_own_is_all_that_is_needed(tmp_path: Path) -> None:
    if not has_solutions():
        pytest.skip("mediapipe 1 has no face mesh of its own")
    assert face_check(tmp_path) == {"what": "face mesh", "found": "loads, offline", "mend": ""}


def test_without_one_the_weights_of_the_landmarker_are_asked_for(tmp_path: Path) -> None:
    if has_solutions():
        pytest.skip("this mediapipe has a face mesh of its own")
    assert "mepipe weights fetch face-landmarker" in face_check(tmp_path)["mend"]
    (tmp_path / MODEL.name).write_bytes(b"another file")
    assert "is not the published" in face_check(tmp_path)["found"]
    if not MODEL.is_file():
        pytest.skip("needs ../shared/models/face_landmarker.task")
    assert face_check(MODEL.parent)["mend"] == ""


def store_checks(**variables: object) -> dict[str, tuple[str, bool]]:
    """What is said of the store and the one behind it, and whether that is well."""
    checks = json.loads(mepipe("doctor", "--json", check=False, **variables).stdout)
    return {c["what"]: (c["found"], not c["mend"]) for c in checks if c["what"] in ("store", "upstream")}


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    found, well = store_checks(MEPIPE_STORE=folder)["store"]
    assert well
    assert found == f"{folder} can be written, flushed and renamed in"
    assert not any(tmp_path.iterdir())


def test_a_store_elsewhere_is_asked_not_taken_for_a_folder(s3: remotes.Tap) -> None:  # noqa: F811
    url = f"{remotes.bucket(s3)}/features.zarr"
    assert store_checks(MEPIPE_STORE=url)["store"] == (f"{url} can be reached; no store is there yet", True)
    assert store_checks(MEPIPE_UPSTREAM=url)["upstream"] == (f"{url} has no store", False)
    assert {method for method, *_ in s3.calls} <= {"GET", "HEAD"}
    store.create(url)
    assert store_checks(MEPIPE_STORE=url, MEPIPE_UPSTREAM=url) == dict.fromkeys(
        ("store", "upstream"), (f"{url} is there", True)
    )
    found, well = store_checks(MEPIPE_STORE="ssh://nobody@127.0.0.1:1/store")["store"]
    assert not well
    assert "cannot be reached" in found
