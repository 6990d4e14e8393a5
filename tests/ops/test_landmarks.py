"""Landmarks: the right points, in the picture's pixels, or None; of either landmarker."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from mepipe.errors import MepipeError, UsageError
from mepipe.ops.landmarks import FACE_OVAL, LEFT_EYE, POINTS_68, RIGHT_EYE, FaceMesh, Landmarker, face_width, to_68
from tests.ops.conftest import face_landmarker, has_solutions


@pytest.fixture(scope="module")
def hopper() -> np.ndarray:
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def test_a_face_has_478_points_in_pixels(landmarker: Landmarker, hopper: np.ndarray) -> None:
    points = landmarker(hopper)
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


def test_the_outline_goes_once_around_all_other_points(landmarker: Landmarker, hopper: np.ndarray) -> None:
    ring = {frozenset(edge) for edge in zip(FACE_OVAL, (*FACE_OVAL[1:], FACE_OVAL[0]), strict=True)}
    assert ring == edges("FACE_OVAL")
    points = landmarker(hopper)
    assert points is not None
    hull = points[list(FACE_OVAL)].reshape(-1, 1, 2)
    distance = [cv2.pointPolygonTest(hull, tuple(map(float, p)), True) for p in points]
    assert min(distance) > -3, "on the far side of the head the mesh may fold over its outline by a pixel or two"


def edges(part: str) -> set[frozenset[int]]:
    """MediaPipe's own table of a part's outline, pairs of points."""
    if has_solutions():
        from mediapipe.python.solutions import face_mesh_connections

        return {frozenset(edge) for edge in getattr(face_mesh_connections, f"FACEMESH_{part}")}
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    table = getattr(FaceLandmarksConnections, f"FACE_LANDMARKS_{part}")
    return {frozenset((edge.start, edge.end)) for edge in table}


def test_the_68_points_are_those_that_the_scheme_names() -> None:
    assert len(POINTS_68) == len(set(POINTS_68)) == 68
    names = {  # the scheme's ranges, and MediaPipe's table of the same part (its right is the person's)
        "RIGHT_EYEBROW": (17, 22), "LEFT_EYEBROW": (22, 27), "RIGHT_EYE": (36, 42), "LEFT_EYE": (42, 48),
        "LIPS": (48, 68), "FACE_OVAL": (0, 17),
    }  # fmt: skip
    for part, (start, stop) in names.items():
        assert set(POINTS_68[start:stop]) <= set().union(*edges(part)), part


def test_the_68_points_lie_in_the_order_of_the_scheme(landmarker: Landmarker, hopper: np.ndarray) -> None:
    found = landmarker(hopper)
    assert found is not None
    points = to_68(found)
    assert points.shape == (68, 2)
    np.testing.assert_array_equal(to_68(np.stack([found, found])), np.stack([points, points]))
    # Left to right along jaw and brows, down the nose, and around eyes and lips as the clock goes.
    assert (np.diff(points[17:27, 0]) > 0).all()
    assert (np.diff(points[27:31, 1]) > 0).all()
    assert (np.diff(points[31:36, 0]) > 0).all()
    around = np.unwrap(np.arctan2(*(points[:17] - points[27:31].mean(axis=0)).T))
    assert (np.diff(around) > 0).all() or (np.diff(around) < 0).all()
    for start, stop in ((36, 42), (42, 48), (48, 60)):
        ring = points[start:stop]
        area = np.cross(ring, np.roll(ring, -1, axis=0)).sum() / 2
        assert area > 20, "clockwise as seen, with y down"
        hull = cv2.convexHull(ring.astype(np.float32))
        assert area > 0.9 * cv2.contourArea(hull), "in order"
    # The mouth is closed: its inner lips are a line, there and back.
    assert (np.diff(points[60:65, 0]) > 0).all()
    assert (np.diff(points[64:68, 0]) < 0).all()
    assert points[8, 1] == points[:, 1].max(), "the chin is the lowest"
    # Read off the picture, enlarged, by eye: under the nose, chin, corners of the mouth.
    for index, place in ((33, (268, 250)), (8, (268, 333)), (48, (231, 281)), (54, (309, 277))):
        assert np.hypot(*(points[index] - place)) < 10, index


def test_a_face_and_its_mirror_image_have_mirrored_points(landmarker: Landmarker, hopper: np.ndarray) -> None:
    mirrored = np.ascontiguousarray(hopper[:, ::-1])
    pairs = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46]
    pairs += [39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), 67, 66, 65]
    there, here = landmarker(hopper), landmarker(mirrored)
    assert there is not None
    assert here is not None
    expected = to_68(there)[pairs]
    expected[:, 0] = hopper.shape[1] - 1 - expected[:, 0]
    # The mesh errs by about a hundredth of the face's width (183 px), another way in the mirrored picture.
    assert np.median(np.hypot(*(to_68(here) - expected).T)) < 4
    assert np.hypot(*(to_68(here) - expected).T).max() < 12


def test_points_follow_a_shift_of_the_picture(landmarker: Landmarker, hopper: np.ndarray) -> None:
    moved = cv2.copyMakeBorder(hopper, 30, 0, 50, 0, cv2.BORDER_REPLICATE)
    before, after = landmarker(hopper), landmarker(moved)
    assert before is not None
    assert after is not None
    # Jitter of the mesh between two versions of one picture: up to a pixel in single points, less in the median.
    np.testing.assert_allclose(np.median(after - before, axis=0), (50, 30), atol=0.8)


def test_gray_is_taken_as_one_channel(landmarker: Landmarker, hopper: np.ndarray) -> None:
    colour, gray = landmarker(hopper), landmarker(cv2.cvtColor(hopper, cv2.COLOR_RGB2GRAY)[:, :, None])
    assert colour is not None
    assert gray is not None
    assert np.median(np.hypot(*(colour - gray).T)) < 2


def test_no_face_is_none_and_nothing_is_remembered(landmarker: Landmarker, hopper: np.ndarray) -> None:
    first = landmarker(hopper)
    assert landmarker(np.full_like(hopper, 128)) is None
    assert first is not None
    again = landmarker(hopper)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    "bad", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), np.uint8)]
)
def test_what_is_not_a_frame_is_refused(landmarker: Landmarker, bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match="A frame must be uint8"):
        landmarker(bad)


@pytest.mark.parametrize("which", ["facemesh", "face-landmarker"])
def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str], hopper: np.ndarray, which: str) -> None:
    if which == "facemesh" and not has_solutions():
        pytest.skip("mediapipe 1 has no face mesh of its own")
    fresh = FaceMesh() if which == "facemesh" else face_landmarker()
    fresh(hopper)
    fresh.close()
    assert capfd.readouterr().err == ""


def test_without_solutions_the_face_mesh_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    if has_solutions():
        monkeypatch.setitem(sys.modules, "mepipe.ops._face_mesh", None)  # as if it were not there
    with pytest.raises(MepipeError, match=r"has no face mesh(?s:.*)--landmarker face-landmarker(?s:.*)weights add"):
        FaceMesh()


def test_three_people_give_one_face(landmarker: Landmarker, faces: Path) -> None:
    picture = cv2.cvtColor(cv2.imread(str(faces / "still_three_people_glasses_beard.png")), cv2.COLOR_BGR2RGB)
    points = landmarker(picture)
    assert points is not None
    assert abs(face_width(points) - 50) < 10  # the folder's README: 50 px
