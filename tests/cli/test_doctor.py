from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import MODEL, has_solutions, mepipe


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
