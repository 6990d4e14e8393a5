from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from mepipe.qc import pictures
from tests.qc.face import face

FACE = face()


def scene(seed: int, contrast: float = 35.0) -> np.ndarray:
    """A picture as sharp as pictures are: random, of power 1/f², float64 [224, 224], grey levels about 120."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(224)[:, None], np.fft.rfftfreq(224)[None])
    frequency[0, 0] = np.inf
    picture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((224, 224))) / frequency, s=(224, 224))
    return 120 + contrast * picture / picture.std()


def noisy(frames: np.ndarray, seed: int, sigma: float = 2.0) -> np.ndarray:
    """With a sensor's noise, as uint8 holds it: float32."""
    grain = np.random.default_rng(seed).standard_normal(frames.shape) * sigma
    return np.clip(np.rint(frames + grain), 0, 255).astype(np.float32)


def moving(seed: int) -> np.ndarray:
    """A face that moves smoothly by up to 2 px and back: [16, 224, 224]."""
    picture = scene(seed)
    rows, columns = np.mgrid[:224, :224].astype(np.float32)
    hill = np.exp(-(((rows - 150) / 30) ** 2) - ((columns - 112) / 40) ** 2).astype(np.float32)
    amounts = 2 * np.sin(np.linspace(0, np.pi, 16)) ** 2
    return np.stack([cv2.remap(picture, columns, rows + np.float32(a) * hill, cv2.INTER_CUBIC) for a in amounts])


def test_grey_levels_are_of_0_to_255_whatever_is_stored() -> None:
    bytes_ = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), np.uint8)
    levels = pictures.grey(bytes_)
    np.testing.assert_allclose(levels[0, 1, 2], bytes_[0, 1, 2] @ [0.299, 0.587, 0.114], rtol=1e-5)
    np.testing.assert_allclose(pictures.grey(bytes_.astype(np.float32) / 255, 1.0), levels, rtol=1e-5)
    np.testing.assert_array_equal(pictures.grey(bytes_[..., :1]), bytes_[..., 0])


@given(st.floats(-40, 40), st.integers(1, 15))
@settings(max_examples=20)
def test_a_jump_of_the_light_is_measured_in_grey_levels(levels: float, at: int) -> None:
    clip = np.repeat(scene(1)[None].astype(np.float32), 16, axis=0)
    clip[at:] += np.float32(levels)
    step, where = pictures.light_step(clip, FACE)
    assert step == pytest.approx(abs(levels), abs=1e-3)
    assert where == at or abs(levels) < 1e-3


def test_something_small_before_the_face_is_no_change_of_light() -> None:
    clip = np.repeat(scene(1)[None].astype(np.float32), 16, axis=0)
    clip[8:, 140:200, 80:140] += 90
    assert pictures.light_step(clip, FACE)[0] == 0


def test_a_still_clip_is_frozen_and_one_with_noise_is_not() -> None:
    still = np.repeat(noisy(scene(2), 0)[None], 16, axis=0)
    position = np.arange(16.0)
    assert pictures.still_share(still, position, FACE) == 1
    live = noisy(np.repeat(scene(2)[None], 16, axis=0), 1)
    assert pictures.still_share(live, position, FACE) == 0
    assert pictures.still_share(live, np.zeros(16), FACE) == 0  # one frame, taken sixteen times by the recipe


@given(st.integers(0, 14), st.integers(1, 15))
@settings(max_examples=20)
def test_the_share_of_repeated_frames_is_exact(first: int, count: int) -> None:
    live = noisy(np.repeat(scene(2)[None], 16, axis=0), 1)
    last = min(15, first + count)
    live[first : last + 1] = live[first]
    position = 10 + 3.0 * np.arange(16)
    assert pictures.still_share(live, position, FACE) == pytest.approx((last - first) / 15)


def test_interpolated_frames_are_not_repeated_ones() -> None:
    source = noisy(np.repeat(scene(2)[None], 3, axis=0), 1, sigma=0.5)
    position = np.linspace(0, 2, 16)
    before = np.minimum(position.astype(int), 1)
    between = source[before] + (position - before)[:, None, None] * (source[before + 1] - source[before])
    assert pictures.still_share(between, position, FACE) == 0
    assert pictures.still_share(np.repeat(source[:1], 16, axis=0), position, FACE) == 1


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("contrast", [8.0, 35.0])
def test_blur_is_measured_in_pixels_whatever_the_contrast(sigma: float, contrast: float) -> None:
    clip = noisy(np.repeat(gaussian_filter(scene(3, contrast), sigma)[None], 16, axis=0), 1, sigma=1.0)
    # A random picture's power is not exactly 1/f²; noise, averaged over 16 frames, looks like sharpness.
    assert pictures.blur(clip, FACE) == pytest.approx(sigma, abs=0.35 if sigma < 4 or contrast > 20 else 1.6)


def test_an_empty_picture_has_no_blur_and_no_mark() -> None:
    assert pictures.blur(np.full((16, 224, 224), 90, np.float32), FACE) == 0
    assert pictures.mark(np.full((16, 224, 224), 90, np.float32)) is None


def test_a_mark_is_known_again_in_copies_and_in_nothing_else() -> None:
    first = noisy(moving(4), 1)
    mark = pictures.mark(first)
    assert mark is not None
    assert np.linalg.norm(mark.astype(float)) == pytest.approx(1, abs=1e-3)

    def alike(levels: np.ndarray) -> float:
        other = pictures.mark(levels)
        assert other is not None
        return float(mark.astype(float) @ other.astype(float))

    encoded = [cv2.imencode(".jpg", f.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])[1] for f in first]
    again = np.stack([cv2.imdecode(e, cv2.IMREAD_GRAYSCALE) for e in encoded]).astype(np.float32)
    assert alike(first) == pytest.approx(1, abs=1e-3)
    assert alike(0.9 * first + 12) > 0.95  # brighter, of less contrast
    assert alike(again) > 0.3
    assert abs(alike(noisy(moving(4), 2))) < 0.1  # the same face does the same
    assert abs(alike(noisy(moving(5), 2))) < 0.1
    assert abs(alike(first[::-1])) < 0.1


def test_marks_of_clips_of_any_length_and_size_can_be_made() -> None:
    for frames, size in ((2, 64), (5, 100), (40, 224)):
        levels = np.random.default_rng(0).uniform(0, 255, (frames, size, size)).astype(np.float32)
        mark = pictures.mark(levels)
        assert mark is not None
        assert len(mark) > 500
