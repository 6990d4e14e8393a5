"""Alignment: head motion is undone to a few hundredths of a pixel, and nothing of the expression with it."""

from __future__ import annotations

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates, spline_filter

from mepipe.datasets.clips import open_clip
from mepipe.errors import SampleError
from mepipe.ops._crop import crop_matrix
from mepipe.ops.align import Aligned, align
from mepipe.ops.landmarks import FACE_OVAL, LEFT_EYE, RIGHT_EYE, Landmarker, face_width
from mepipe.ops.stabilise import Stabiliser, apply, compose, fit_similarity, invert

# Landmark, direction (x right, y down) and width (fraction of the face's) of what an action unit moves.
ACTION_UNITS = {
    "none": (),
    "1+2": ((105, (0, -1), 0.13), (334, (0, -1), 0.13)),
    "4": ((66, (0.7, 0.7), 0.12), (296, (-0.7, 0.7), 0.12)),
    "12": ((61, (-0.8, -0.6), 0.11), (291, (0.8, -0.6), 0.11)),
    "blink": ((159, (0, 1), 0.04), (386, (0, 1), 0.04)),
    "speech": ((17, (0, 1), 0.1), (152, (0, 1), 0.14)),
}


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A sharp public-domain face 183 px wide, uint8 [400, 360, 1]."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[20:420, 90:450, None]


@pytest.fixture(scope="module")
def landmarks(mesh: Landmarker, portrait: np.ndarray) -> np.ndarray:
    found = mesh(portrait)
    assert found is not None
    return found.astype(np.float64)


def rigid(angle: float, shift: tuple[float, float], centre: np.ndarray) -> np.ndarray:
    """Rotation by degrees about a point, then a shift."""
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    rotation = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([rotation, centre + shift - rotation @ centre])


def head_motion(count: int, centre: np.ndarray, seed: int) -> list[np.ndarray]:
    """As in the databases: 1 px and 0.4 degrees (standard deviation) about the onset."""
    rng = np.random.default_rng(seed)
    later = [rigid(rng.normal(0, 0.4), tuple(rng.normal(0, 1, 2)), centre) for _ in range(count - 1)]
    return [np.eye(2, 3), *later]


def clip(
    portrait: np.ndarray,
    landmarks: np.ndarray,
    motions: list[np.ndarray],
    unit: str = "none",
    peak: float = 1.2,
    noise: float = 1,
) -> list[tuple[int, np.ndarray]]:
    """A face that moves by `motions` while an action unit grows to `peak` px, by cubic splines, with sensor noise."""
    height, width = portrait.shape[:2]
    spline = spline_filter(portrait[:, :, 0].astype(np.float64), order=3, mode="mirror")
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)
    field = np.zeros_like(grid)
    for index, direction, extent in ACTION_UNITS[unit]:
        square = ((grid - landmarks[index]) ** 2).sum(axis=-1)
        field += np.exp(-square / (2 * (extent * face_width(landmarks)) ** 2))[..., None] * direction
    rng = np.random.default_rng(0)
    frames = []
    for time, motion in enumerate(motions):
        # Smooth fields of about a pixel: where a pixel came from differs from where it is by second-order terms.
        there = apply(invert(motion), grid.reshape(-1, 2)).reshape(grid.shape)
        there = there - field * peak * time / max(len(motions) - 1, 1)
        clean = map_coordinates(spline, [there[..., 1], there[..., 0]], order=3, prefilter=False, mode="nearest")
        noisy = clean + noise * rng.normal(size=clean.shape) * np.sqrt(4 + 0.02 * np.clip(clean, 0, 255))
        frames.append((100 + time, np.clip(np.rint(noisy), 0, 255).astype(np.uint8)[:, :, None]))
    return frames


def error(aligned: Aligned, motions: list[np.ndarray], landmarks: np.ndarray) -> np.ndarray:
    """Distance in px of the crop, rms over the face, between where frames were read and where they should have been."""
    crop = aligned.transforms[0]
    places = apply(invert(crop), landmarks)
    pitch = np.hypot(*crop[:, 0])
    return np.array(
        [
            np.sqrt(((apply(read, places) - apply(motion, landmarks)) ** 2).sum(axis=1).mean()) / pitch
            for read, motion in zip(aligned.transforms, motions, strict=True)
        ]
    )


@pytest.mark.parametrize("unit", list(ACTION_UNITS))
def test_head_motion_is_undone_whatever_the_face_does(
    mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray, unit: str
) -> None:
    motions = head_motion(6, landmarks.mean(axis=0), seed=len(unit))
    frames = clip(portrait, landmarks, motions, unit, peak=4.0 if unit in ("blink", "speech") else 1.2)
    aligned = align(iter(frames), mesh)
    # A micro-expression moves a pixel and TV-L1 errs by .05 px: three hundredths of a pixel are no loss.
    assert error(aligned, motions, landmarks).max() < 0.03
    assert error(align(iter(frames), mesh, stabilise=False), motions, landmarks)[1:].min() > 0.2


def test_a_still_head_stays_still_under_noise(mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray) -> None:
    motions = [np.eye(2, 3)] * 6
    aligned = align(clip(portrait, landmarks, motions, noise=1.5), mesh)
    # Issue: less than 0.05 px may be added. Measured: 0.004.
    assert error(aligned, motions, landmarks).max() < 0.02


def test_large_slow_motion_is_followed(mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray) -> None:
    motions = [rigid(1.2 * t, (2.5 * t, -1.5 * t), landmarks.mean(axis=0)) for t in range(7)]
    aligned = align(clip(portrait, landmarks, motions), mesh)
    assert error(aligned, motions, landmarks).max() < 0.05  # ends 17 px and 7 degrees from the onset
    assert aligned.left.max() < 0.1  # it came to rest
    assert aligned.inliers.min() > 0.9


def test_a_head_that_comes_nearer_is_held(mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray) -> None:
    centre = landmarks.mean(axis=0)
    growth = [0, 0.0005, 0.003, -0.008, 0.02]
    nearer = [np.column_stack([(1 + g) * np.eye(2), -g * centre]) for g in growth]
    motions = [compose(head, near) for head, near in zip(head_motion(5, centre, seed=2), nearer, strict=True)]
    aligned = align(clip(portrait, landmarks, motions), mesh)
    # As little as .05 % is not believed: .0005 of 70 px (rms of the landmarks about their middle).
    assert error(aligned, motions, landmarks).max() < 0.05


def test_aligned_frames_of_a_moving_head_look_like_the_onset(
    mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray
) -> None:
    frames = clip(portrait, landmarks, head_motion(4, landmarks.mean(axis=0), seed=3), noise=0)

    def change(aligned: Aligned) -> float:
        face = aligned.frames[:, 40:-20, 40:-40].astype(float)
        return float(np.abs(face[1:] - face[0]).mean())

    # What is left is interpolation and rounding, on a portrait sharp to the pixel.
    assert change(align(frames, mesh)) < 0.25 * change(align(frames, mesh, stabilise=False))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("turn", [0, 25, -40])
def test_the_crop_holds_the_whole_face_with_eyes_level(
    mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray, turn: float, channels: int
) -> None:
    around = rigid(turn, (31, 12), landmarks.mean(axis=0))
    turned = cv2.warpAffine(portrait, around, (431, 457), borderMode=cv2.BORDER_REPLICATE)  # odd size
    frame = np.repeat(turned[:, :, None], channels, axis=2)
    aligned = align([(7, frame), (8, frame)], mesh, size=160, margin=0.1)
    assert aligned.frames.shape == (2, 160, 160, channels)
    assert aligned.frames.dtype == np.uint8
    assert aligned.numbers.tolist() == [7, 8]
    points = aligned.landmarks
    assert points.shape == (478, 2)
    assert points.dtype == np.float32
    slope = points[list(RIGHT_EYE)].mean(axis=0) - points[list(LEFT_EYE)].mean(axis=0)
    assert abs(np.rad2deg(np.arctan2(slope[1], slope[0]))) < 1.5  # half a pixel of landmark jitter on 60 px
    outline = points[list(FACE_OVAL)]
    assert (outline > 0).all()
    assert (outline < 159).all()
    # The longer side of the outline takes 1 / (1 + 2 * margin) of the crop.
    np.testing.assert_allclose(np.ptp(outline, axis=0).max(), 160 / 1.2, rtol=0.02)
    # What the crop shows lies where transforms say: read three pixels back from the source.
    for x, y in ((80, 80), (60, 100), (100, 70)):
        source_x, source_y = apply(aligned.transforms[0], np.array([[x, y]]))[0]
        patch = cv2.getRectSubPix(turned, (1, 1), (float(source_x), float(source_y)))
        assert abs(float(patch[0, 0]) - float(aligned.frames[0, y, x, 0])) < 25  # another interpolation and a blur


def test_a_face_at_the_edge_repeats_the_edge(mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray) -> None:
    top = int(landmarks[10, 1]) + 2
    aligned = align([(0, np.ascontiguousarray(portrait[top:]))], mesh)
    above = aligned.frames[0, :3, 90:130, 0].astype(int)
    assert np.ptp(above, axis=0).max() <= 12, "rows above the source repeat its first row (turned by a degree)"


def test_detail_finer_than_the_crop_does_not_alias() -> None:
    rng = np.random.default_rng(0)
    board = (np.indices((900, 900)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    angles = np.linspace(-np.pi / 2, 1.5 * np.pi, 36, endpoint=False)
    points = rng.uniform(400, 500, (478, 2)).astype(np.float32)
    points[list(FACE_OVAL)] = 450 + 300 * np.column_stack([np.cos(angles), np.sin(angles)])
    points[list(LEFT_EYE)], points[list(RIGHT_EYE)] = (350, 400), (550, 400)
    level = crop_matrix(points.astype(np.float64), 224, 0.15)  # the second look: 1.3 times the width of the crop
    again = apply(invert(level), points)
    aligned = align([(0, board)], lambda frame: points if frame.shape[:2] == (900, 900) else again, stabilise=False)
    # Three source pixels to one of the crop: a one-pixel chequerboard is flat grey there.
    assert aligned.frames.astype(float).std() < 4


def test_landmarks_are_asked_for_only_where_needed(mesh: Landmarker, portrait: np.ndarray) -> None:
    asked = []

    def counting(frame: np.ndarray) -> np.ndarray | None:
        asked.append(frame.shape)
        return mesh(frame)

    align(((n, portrait) for n in range(18)), counting, check_every=8)
    assert len(asked) == 1 + 3 + 2 + 1, "the onset again, first three, the 8th and 16th, the last"


def test_no_face_is_refused(mesh: Landmarker) -> None:
    nothing = np.full((120, 160, 3), 90, np.uint8)
    with pytest.raises(SampleError, match=r"No face in the onset frame 12 \(160x120 px\)"):
        align([(12, nothing)], mesh)
    with pytest.raises(SampleError, match="no frame"):
        align([], mesh)


def test_a_small_face_is_refused(mesh: Landmarker, portrait: np.ndarray) -> None:
    with pytest.raises(SampleError, match=r"18\d px wide in frame 3, less than min_face = 200"):
        align([(3, portrait)], mesh, min_face=200)


def test_frames_without_the_face_are_named(mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray) -> None:
    frames = clip(portrait, landmarks, [np.eye(2, 3)] * 8)
    rng = np.random.default_rng(1)
    for index in (4, 5):
        frames[index] = (frames[index][0], rng.integers(0, 255, portrait.shape, dtype=np.uint8))
    with pytest.raises(SampleError, match=r"in 2 of 8 frames(?s:.*)104(?s:.*)105"):
        align(frames, mesh, check_every=5)
    frames = [(n, portrait if n < 5 else np.full_like(portrait, 90)) for n in range(9)]
    with pytest.raises(SampleError, match=r"Cannot align in 4 of 9 frames(?s:.*)5, 6, 7(?s:.*)no face in 8"):
        align(frames, mesh, stabilise=False, check_every=20)


def test_a_hidden_mouth_does_not_disturb_the_rest(
    mesh: Landmarker, portrait: np.ndarray, landmarks: np.ndarray
) -> None:
    motions = head_motion(5, landmarks.mean(axis=0), seed=8)
    frames = clip(portrait, landmarks, motions)
    x, y = landmarks[13].astype(int)
    frames[3][1][y - 12 : y + 60, x - 60 : x + 60] = 120  # a hand, say
    aligned = align(frames, mesh)
    assert error(aligned, motions, landmarks).max() < 0.05
    assert aligned.inliers[3] < aligned.inliers[2] - 0.1, "and it shows in the inliers"


@given(
    angle=st.floats(-0.5, 0.5),
    growth=st.sampled_from([-0.01, -0.004, 0.0, 0.004, 0.01]),
    x=st.floats(-3, 3),
    y=st.floats(-3, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_fit_ignores_what_moves_on_its_own(angle: float, growth: float, x: float, y: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(20, 200, (200, 2))
    centre = np.array([112.0, 112.0])
    nearer = np.column_stack([(1 + growth) * np.eye(2), -growth * centre])
    truth = compose(rigid(angle, (x, y), centre), nearer)
    moved = apply(truth, points) + rng.normal(0, 0.05, points.shape)
    upper = np.argsort(points[:, 1])[:60]
    moved[upper] += (0.4, -1.5)  # brows and forehead go up together
    matrix, distance = fit_similarity(points, moved, np.ones(200))
    square = matrix[:, :2] @ matrix[:, :2].T
    np.testing.assert_allclose(square, square[0, 0] * np.eye(2), atol=1e-12)
    # 140 points good to .05 px: the mean is good to .005, the angle's and the growth's shares at the rim to three times
    # that. Of a growth of .004 a sixteenth is not believed: .03 px at the rim.
    np.testing.assert_allclose(apply(matrix, points), apply(truth, points), atol=0.09)
    assert (np.sort(distance)[-60:] > 1).all()


def test_points_that_are_not_trusted_do_not_count() -> None:
    rng = np.random.default_rng(6)
    points = rng.uniform(20, 200, (200, 2))
    moved = points.copy()
    moved[:120] += (0.3, 0.0)  # most of them, but they have been seen to move on their own
    trust = np.where(np.arange(200) < 120, 0.02, 1.0)
    matrix, _ = fit_similarity(points, moved, trust)
    np.testing.assert_allclose(apply(matrix, points), points, atol=0.02)


@given(st.lists(st.floats(-2, 2), min_size=12, max_size=12))
def test_compose_and_invert_are_those_of_matrices(values: list[float]) -> None:
    a, b = np.array(values).reshape(2, 2, 3) + np.eye(2, 3) * 5
    points = np.array([[0.0, 0.0], [3.0, -2.0], [10.0, 7.0]])
    np.testing.assert_allclose(apply(compose(a, b), points), apply(a, apply(b, points)), atol=1e-9)
    np.testing.assert_allclose(apply(invert(a), apply(a, points)), points, atol=1e-9)


def test_nothing_to_follow_is_no_fit() -> None:
    flat = np.full((64, 64), 100, np.uint8)
    fit = Stabiliser(flat, np.full_like(flat, 255)).fit(lambda matrix: flat, np.eye(2, 3))
    assert fit.inliers == 0
    assert fit.left == np.inf


@pytest.mark.parametrize(
    ("name", "onset", "offset", "message"),
    [
        ("hhoppe_no_face_seaside_loop.mp4", 0, 19, "No face in the onset frame 0"),
        ("intel_woman_head_turns_12fps.avi", 0, 22, "Cannot align in .* of 23 frames"),
        ("pyfeat_face_then_no_face_vfr.mov", 60, 80, r"in \d+ of 21 frames(?s:.*)72, 73"),
        ("pexels_woman_strong_expressions_24fps.mp4", 60, 130, r"Cannot align in \d+ of 71 frames"),
    ],
)
def test_clips_that_cannot_be_aligned_say_where(
    faces: Path, mesh: Landmarker, name: str, onset: int, offset: int, message: str
) -> None:
    with pytest.raises(SampleError, match=message):
        align(open_clip(faces / name, onset, offset), mesh)


def test_a_man_who_walks_up_is_held_as_large_as_at_the_onset(faces: Path, mesh: Landmarker) -> None:
    clip = open_clip(faces / "intel_three_people_glasses_beard_12fps.mp4", 0, 10)
    try:
        aligned = align(clip, mesh)
    except SampleError as error:
        assert "frame 0 is no face" in str(error)  # noqa: PT017 - as Face Landmarker finds it
        return
    size = np.sqrt(np.linalg.det(aligned.transforms[:, :, :2]))
    assert 1.2 < size[-1] / size[0] < 1.4, "his face is 39 px wide, then 51, by its mesh"
    assert aligned.hidden.max() < 0.03
