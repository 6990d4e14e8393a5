"""The align stage's two landmarkers: which weights they call for, and that they agree on where the face is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mepipe.errors import UsageError
from mepipe.recipe.model import load
from mepipe.recipe.resolve import resolve
from mepipe.stages.align import STAGE, AlignParams
from tests.conftest import MODEL, has_solutions
from tests.stages.test_stages import source

TASK = {"align": {"landmarker": "face-landmarker"}}


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights folder holds face_landmarker.task."""
    if not MODEL.is_file():
        pytest.skip("needs ../shared/models/face_landmarker.task")
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(MODEL.parent))


def test_the_face_mesh_needs_no_weights_and_the_landmarker_those_of_its_name(model: None) -> None:
    plain, other = resolve(load("features"))["align"], resolve(load("features"), TASK)["align"]
    assert "weights" not in plain.lineage
    digest = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
    assert other.lineage["weights"] == {"face-landmarker": digest}
    assert "torch" not in other.lineage["libraries"], "MediaPipe runs them"
    assert plain.key != other.key


def test_without_the_weights_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match=r"face_landmarker.task(?s:.*)mepipe weights fetch face-landmarker"):
        resolve(load("features"), TASK)


def test_both_landmarkers_crop_the_same_face(model: None) -> None:
    clip = STAGE.compute(source(), AlignParams(landmarker="face-landmarker"))
    assert clip.frames.shape == (20, 224, 224, 3)
    if not has_solutions():
        pytest.skip("mediapipe 1 has no face mesh of its own to compare with")
    other = STAGE.compute(source(), AlignParams())
    # Their points differ by about 1 % of the face's width, and so do crops made from them.
    assert np.median(np.hypot(*(clip.landmarks - other.landmarks).T)) < 4
