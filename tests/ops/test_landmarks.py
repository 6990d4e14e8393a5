"""Landmarks: the right points, in the picture's pixels, or None."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from mepipe.errors import UsageError
from mepipe.ops.landmarks import FACE_OVAL, LEFT_EYE, RIGHT_EYE, FaceMesh, face_width


@pytest.fixture(scope="module")
def hopper() -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_a_face_has_478_points_in_pixels(mesh: FaceMesh, hopper: np.ndarray) -> None:
    points = mesh(hopper)
    assert points is not None
    assert points.shape == (478, 2)
    assert points.dtype == np.float32
    # Read off the picture (512x600) by eye, good to a few pixels; the width was measured independently as 183 px.
    assert abs(face_width(points) - 183) < 4
    np.testing.assert_allclose(points[list(LEFT_EYE + RIGHT_EYE)].mean(axis=0), (266, 189), atol=6)
    # The irises lie between the corners of their eyes.
    for corners, iris in ((LEFT_EYE, 468), (RIGHT_EYE, 473)):
        low, high = np.sort(points[list(corners), 0])
        assert low < points[iris, 0] < high


def test_the_outline_goes_once_around_all_other_points(mesh: FaceMesh, hopper: np.ndarray) -> None:
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_FACE_OVAL

    ring = {frozenset(edge) for edge in zip(FACE_OVAL, (*FACE_OVAL[1:], FACE_OVAL[0]), strict=True)}
    assert ring == {frozenset(edge) for edge in FACEMESH_FACE_OVAL}
    points = mesh(hopper)
    assert points is not None
    hull = points[list(FACE_OVAL)].reshape(-1, 1, 2)
    distance = [cv2.pointPolygonTest(hull, tuple(map(float, p)), True) for p in points]
    assert min(distance) > -3, "on the far side of the head the mesh may fold over its outline by a pixel or two"


def test_points_follow_a_shift_of_the_picture(mesh: FaceMesh, hopper: np.ndarray) -> None:
    moved = cv2.copyMakeBorder(hopper, 30, 0, 50, 0, cv2.BORDER_REPLICATE)
    before, after = mesh(hopper), mesh(moved)
    assert before is not None
    assert after is not None
    # Jitter of the mesh between two versions of one picture: up to a pixel in single points, less in the median.
    np.testing.assert_allclose(np.median(after - before, axis=0), (50, 30), atol=0.8)


def test_gray_is_taken_as_one_channel(mesh: FaceMesh, hopper: np.ndarray) -> None:
    colour, gray = mesh(hopper), mesh(cv2.cvtColor(hopper, cv2.COLOR_RGB2GRAY)[:, :, None])
    assert colour is not None
    assert gray is not None
    assert np.median(np.hypot(*(colour - gray).T)) < 2


def test_no_face_is_none_and_nothing_is_remembered(mesh: FaceMesh, hopper: np.ndarray) -> None:
    first = mesh(hopper)
    assert mesh(np.full_like(hopper, 128)) is None
    assert first is not None
    again = mesh(hopper)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "bad", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), np.uint8)]
)
def test_what_is_not_a_frame_is_refused(mesh: FaceMesh, bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="A frame must be uint8"):
        mesh(bad)


def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str], hopper: np.ndarray) -> None:
    with FaceMesh() as fresh:
        fresh(hopper)
    assert capfd.readouterr().err == ""


def test_three_people_give_one_face(mesh: FaceMesh, faces: Path) -> None:
    picture = cv2.cvtColor(cv2.imread(str(faces / "still_three_people_glasses_beard.png")), cv2.COLOR_BGR2RGB)
    points = mesh(picture)
    assert points is not None
    assert abs(face_width(points) - 50) < 10  # the folder's README: 50 px
