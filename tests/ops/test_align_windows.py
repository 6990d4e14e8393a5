"""Long clips in which the head moves far, and turns: references chosen anew, without a jump."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from mepipe.errors import SampleError
from mepipe.ops.align import align
from mepipe.ops.landmarks import Landmarker
from mepipe.ops.stabilise import apply, invert

NEAR = 16
# Landmarks, and where the skin about them goes; as far as `REACH` px.
SKIN = {105: (0, -1), 334: (0, -1), 61: (-1, 0), 291: (1, 0), 17: (0, 1), 152: (0, 1)}
REACH = 24


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A sharp public-domain face 183 px wide, float32 [400, 420]."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)[20:420, 60:480].astype(np.float32)


def head(time: float, centre: np.ndarray) -> np.ndarray:
    """The head's way: 40 px to the right, 10 degrees and back, 2 % nearer; time from 0 to 1."""
    angle, growth = np.deg2rad(10 * np.sin(np.pi * time)), 1 + 0.02 * time
    linear = growth * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([40 * time, -15 * np.sin(2 * np.pi * time)])
    return np.column_stack([linear, centre + shift - linear @ centre])


def clip(portrait: np.ndarray, landmarks: np.ndarray, count: int, peak: float) -> Iterator[tuple[int, np.ndarray]]:
    """The head on its way while brows, mouth and chin move off, by `peak` px in the end, and stay there."""
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in portrait.shape[::-1]))
    field = np.zeros((2, *portrait.shape), np.float32)
    for point, (right, down) in SKIN.items():
        bump = np.exp(-np.square([x - landmarks[point, 0], y - landmarks[point, 1]]).sum(axis=0) / (2 * REACH**2))
        field += np.stack([right * bump, down * bump])
    centre, rng = landmarks.mean(axis=0), np.random.default_rng(0)
    for index in range(count):
        time = np.float32(index / (count - 1))
        skin = cv2.remap(portrait, x - time * peak * field[0], y - time * peak * field[1], cv2.INTER_CUBIC)
        way = head(float(time), centre)
        moved = cv2.warpAffine(skin, way, (480, 400), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        yield index, np.clip(np.rint(moved + rng.normal(0, 1.5, moved.shape)), 0, 255).astype(np.uint8)[..., None]


@pytest.mark.parametrize(
    ("count", "peak", "bound"),
    # What draws the fit along is the skin that goes .4 px in 16 frames, .2 px when slower; a reference that stays does
    # no better.
    [(150, 4.0, 0.08), pytest.param(600, 8.0, 0.05, marks=pytest.mark.slow)],
)
def test_a_head_on_a_long_way_is_held_from_window_to_window(
    mesh: Landmarker, portrait: np.ndarray, count: int, peak: float, bound: float
) -> None:
    found = mesh(portrait.astype(np.uint8)[..., None])
    assert found is not None
    landmarks = found.astype(np.float64)
    aligned = align(clip(portrait, landmarks, count, peak), mesh, reference="windows")
    assert len(aligned.references) > 1
    assert aligned.inliers.min() > 0.6, "against the onset it would be .55, and .36"
    ways = [head(t / (count - 1), landmarks.mean(axis=0)) for t in range(count)]
    held = aligned.landmarks.astype(np.float64)
    seen = np.stack([apply(invert(w), apply(m, held)) for w, m in zip(ways, aligned.transforms, strict=True)])
    seen /= np.hypot(*aligned.transforms[0][:, 0])
    near = np.sqrt(np.square(seen[NEAR:] - seen[:-NEAR]).sum(axis=2).mean(axis=1))
    assert np.sqrt(np.square(near).mean()) < bound
    for first in aligned.references[1:]:
        assert np.abs(seen[first + 1] - seen[first]).max() < 0.06, "no jump where a window begins"


def test_a_clip_that_does_not_turn_is_one_window(mesh: Landmarker, portrait: np.ndarray) -> None:
    frames = [(index, portrait.astype(np.uint8)[..., None]) for index in range(20)]
    windows, onset = (align(frames, mesh, reference=how) for how in ("windows", "onset"))
    assert windows.references.tolist() == [0]
    np.testing.assert_array_equal(windows.frames, onset.frames)


def turning(portrait: np.ndarray, landmarks: np.ndarray, degrees: float, count: int) -> list[tuple[int, np.ndarray]]:
    """A head, as an ellipsoid seen from afar, that turns to one side by so much and slows down there."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    middle, radius = (low + high) / 2, 0.62 * (high - low)  # the head goes on beyond the face
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in portrait.shape[::-1]))
    width = radius[0] * np.sqrt(np.clip(1 - np.square((y - middle[1]) / radius[1]), 1e-4, 1))
    across = (x - middle[0]) / width
    rng = np.random.default_rng(0)
    frames = []
    for index in range(count):
        angle = np.deg2rad(degrees) * np.sin(np.pi / 2 * index / (count - 1))
        around = np.clip(np.arcsin(np.clip(across, -1, 1)) - angle, -np.pi / 2, np.pi / 2)
        source = np.where(np.abs(across) < 1, middle[0] + width * np.sin(around), x).astype(np.float32)
        turned = cv2.remap(portrait, source, y, cv2.INTER_CUBIC) + rng.normal(0, 1.5, portrait.shape)
        frames.append((index, np.clip(np.rint(turned), 0, 255).astype(np.uint8)[..., None]))
    return frames


def test_a_head_that_turns_far_can_be_aligned_by_windows_alone(mesh: Landmarker, portrait: np.ndarray) -> None:
    found = mesh(portrait.astype(np.uint8)[..., None])
    assert found is not None
    frames = turning(portrait, found.astype(np.float64), 35, 60)
    with pytest.raises(SampleError, match="Cannot align"):
        align(frames, mesh)
    assert len(align(frames, mesh, reference="windows").references) > 3
