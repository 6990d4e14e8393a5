from __future__ import annotations

from collections.abc import Iterator

import pytest

from mepipe.ops.landmarker_task import FaceLandmarker
from mepipe.ops.landmarks import FaceMesh, Landmarker
from tests.conftest import MODEL, has_solutions


def face_landmarker() -> FaceLandmarker:
    """MediaPipe's Face Landmarker; the test is skipped where its model, which the project does not carry, is not."""
    if not MODEL.is_file():
        pytest.skip("needs ../shared/models/face_landmarker.task")
    return FaceLandmarker(MODEL)


@pytest.fixture(scope="module")
def mesh() -> Iterator[Landmarker]:
    """The landmarker that this MediaPipe has, loaded once for a module."""
    landmarker = FaceMesh() if has_solutions() else face_landmarker()
    yield landmarker
    landmarker.close()


@pytest.fixture(scope="module", params=["facemesh", "face-landmarker"])
def landmarker(request: pytest.FixtureRequest) -> Iterator[Landmarker]:
    """Each landmarker, loaded once for a module."""
    if request.param == "facemesh" and not has_solutions():
        pytest.skip("mediapipe 1 has no face mesh of its own")
    made = FaceMesh() if request.param == "facemesh" else face_landmarker()
    yield made
    made.close()
