"""TV-L1 against motion that is known, against OpenCV, and against what must not change it."""

from dataclasses import FrozenInstanceError

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.errors import MepipeError
from mepipe.ops import _tvl1_solver, tvl1

SIZE = 96


def texture(seed: int, size: int = SIZE) -> np.ndarray:
    """Skin-like: blobs at several scales, contrast of a face, float32 [2 * size, 2 * size] around 128."""
    rng = np.random.default_rng(seed)
    out = np.zeros((2 * size, 2 * size), np.float32)
    for sigma, strength in ((2, 14), (5, 18), (16, 25)):
        blobs = cv2.GaussianBlur(rng.normal(size=out.shape).astype(np.float32), (0, 0), sigma)
        out += strength * blobs / blobs.std()
    return 128 + out


def seen(hidden: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The frame [size, size] after `field` [2, size, size]: warped at twice the size, Lanczos, then averaged down."""
    size = hidden.shape[0]
    doubled = np.stack([2 * cv2.resize(part, (size, size)) for part in field]).astype(np.float32)
    columns, rows = np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2)
    backward = doubled
    for _ in range(
        20
    ):  # the displacement of what has arrived at a pixel: fixed point of backward(x) = field(x - backward)
        x, y = columns - backward[0], rows - backward[1]
        backward = np.stack(
            [cv2.remap(part, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in doubled]
        )
    x, y = columns - backward[0], rows - backward[1]
    moved = cv2.remap(hidden, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(moved, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def bump(u: float, v: float, sigma: float = 12.0, size: int = SIZE) -> np.ndarray:
    """A Gaussian displacement around the middle with peak (u, v) pixels, float32 [2, size, size]."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return np.multiply.outer([u, v], np.exp(-(rows**2 + columns**2) / (2 * sigma**2))).astype(np.float32)


def recorded(frame: np.ndarray, seed: int) -> np.ndarray:
    """With the noise of a camera, averaged over five frames: read noise 2, shot noise .02 per grey level."""
    noise = np.random.default_rng(seed).normal(size=frame.shape) * np.sqrt((4 + 0.02 * frame) / 5)
    return (frame + noise).astype(np.float32)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.hypot(*np.moveaxis(one - other, -3, 0)).mean())


def scores(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """End-point error relative to zero flow's, and gain, where the motion is more than a fifth of its peak."""
    size = np.hypot(*truth)
    inside = size > 0.2 * size.max()
    error = np.hypot(*(found - truth))[inside].mean() / size[inside].mean()
    gain = (found * truth)[:, inside].sum() / (truth**2)[:, inside].sum()
    return float(error), float(gain)


def opencv(reference: np.ndarray, target: np.ndarray) -> np.ndarray:
    return cv2.optflow.DualTVL1OpticalFlow_create().calc(reference, target, None).transpose(2, 0, 1)


def as_bytes(frame: np.ndarray) -> np.ndarray:
    return np.clip(np.round(frame), 0, 255).astype(np.uint8)


STILL = np.zeros((2, SIZE, SIZE), np.float32)


@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
@pytest.mark.parametrize("shift", [(0.3, 0.0), (0.0, -0.7), (-1.6, 0.9)])
def test_finds_a_constant_shift(preset, shift):
    hidden = texture(0)
    field = STILL + np.float32(shift)[:, None, None]
    found = tvl1.flow(seen(hidden, STILL), seen(hidden, field)[None], preset)[0]
    inner = found[:, 8:-8, 8:-8]  # what enters the frame at its border has no counterpart
    # A total-variation penalty has no cost for a constant: only interpolation errors are left (OpenCV: .01-.03).
    assert np.abs(inner.mean(axis=(1, 2)) - shift).max() < 0.05


@pytest.mark.parametrize("mode", tvl1.MODES)
@pytest.mark.parametrize("peak", [0.5, 1.0, 3.0])
def test_micro_measures_a_bump_under_noise_and_drifting_light(peak, mode):
    hidden = texture(1)
    truth = bump(0.8 * peak, -0.6 * peak)
    reference = recorded(seen(hidden, STILL), 0)
    targets = np.stack([recorded(seen(hidden, truth * k) * (1 + 0.02 * k), i) for i, k in ((1, 0.5), (2, 1.0))])
    error, gain = scores(tvl1.flow(reference, targets, mode=mode)[1], truth)
    # What the feature is specified to reach on faces. On frames that are not averaged, half a pixel comes out smaller.
    assert error < (0.35 if peak < 1 else 0.30)
    assert (0.7 if peak < 1 else 0.75) < gain < 1.1


def test_opencv_preset_is_opencvs_own_result():
    hidden = texture(2)
    reference = as_bytes(seen(hidden, STILL))
    for peak in (0.4, 2.0):
        target = as_bytes(seen(hidden, bump(peak, -peak / 2)))
        found = tvl1.flow(reference, target[None], "opencv", "exact")[0]
        # Rounding can end an iteration one step earlier or later; OpenCV itself moves .013-.019 px when only its
        # median filter changes.
        assert distance(found, opencv(reference, target)) < 0.015


def test_opencv_preset_takes_float_frames_of_0_to_255_for_what_opencv_takes_as_0_to_1():
    hidden = texture(3)
    reference, target = seen(hidden, STILL), seen(hidden, bump(1, 1))
    found = tvl1.flow(reference, target[None], "opencv", "exact")[0]
    assert distance(found, opencv(reference / np.float32(255), target / np.float32(255))) < 0.015


@pytest.mark.parametrize("preset", list(tvl1.PRESETS))
def test_a_still_face_has_exactly_no_flow(preset):
    frame = as_bytes(seen(texture(4), STILL))
    found, settled = tvl1.flow_with_report(frame, np.stack([frame] * 3), preset)
    assert not found.any()
    assert settled.all()


def test_clip_mode_agrees_with_exact_mode_on_a_slow_clip():
    hidden = texture(5)
    steps = np.sin(np.linspace(0, np.pi, 9)[1:-1]) ** 2
    reference = recorded(seen(hidden, STILL), 0)
    targets = np.stack([recorded(seen(hidden, bump(1.2, -0.8) * k), i + 1) for i, k in enumerate(steps)])
    clip, settled = tvl1.flow_with_report(reference, targets, mode="clip")
    # Two solvers of one problem that stop early differ by a few hundredths: the noise floor of these frames is .03.
    assert distance(clip, tvl1.flow(reference, targets, mode="exact")) < 0.04
    assert settled.all()


@pytest.mark.parametrize("before", [[], [0.3]])
def test_clip_mode_restarts_cold_where_the_clip_jumps(before):
    hidden = texture(6)
    reference = seen(hidden, STILL)
    away = STILL + np.float32([5, -4])[:, None, None]
    fields = np.stack([*(bump(k, 0) for k in before), away, bump(0.3, 0)])
    found = tvl1.flow(reference, np.stack([seen(hidden, field) for field in fields]))
    # What enters the frame at its border has no counterpart. A warm start alone ends pixels away.
    assert distance(found[..., 16:-16, 16:-16], fields[..., 16:-16, 16:-16]) < 0.03


def test_clip_mode_is_one_result_for_clips_longer_than_what_is_swept_together(monkeypatch):
    hidden = texture(6)
    course = np.sin(np.linspace(0, np.pi, 9)[1:]) ** 2
    reference = recorded(seen(hidden, STILL), 0)
    targets = np.stack([recorded(seen(hidden, bump(1.2, -0.8) * k), i + 1) for i, k in enumerate(course)])
    whole = tvl1.flow(reference, targets)
    monkeypatch.setattr(_tvl1_solver, "WINDOW", 3 * reference.size)
    parts = tvl1.flow(reference, targets)
    np.testing.assert_array_equal(parts[:3], tvl1.flow(reference, targets[:3]))  # what follows is not waited for
    assert 0 < distance(parts, whole) < 0.03  # the noise floor of these frames


def test_reports_a_pair_that_has_not_settled():
    reference, other = (as_bytes(seen(texture(seed), STILL)) for seed in (7, 8))
    _, settled = tvl1.flow_with_report(reference, np.stack([reference, other]), mode="exact")
    assert settled.tolist() == [True, False]


@pytest.mark.parametrize("mode", tvl1.MODES)
def test_same_input_gives_the_same_bits_and_leaves_the_input_alone(mode):
    rng = np.random.default_rng(9)
    reference = rng.uniform(0, 255, (40, 57)).astype(np.float32)
    targets = rng.uniform(0, 255, (3, 40, 57)).astype(np.float32)
    kept = reference.copy(), targets.copy()
    first = tvl1.flow(reference, targets, mode=mode)
    np.testing.assert_array_equal(first, tvl1.flow(reference, targets, mode=mode))
    np.testing.assert_array_equal(reference, kept[0])
    np.testing.assert_array_equal(targets, kept[1])
    assert first.shape == (3, 2, 40, 57)
    assert first.dtype == np.float32


@given(seed=st.integers(0, 10_000), level=st.floats(-40, 40))
def test_another_brightness_of_both_frames_changes_nothing(seed, level):
    hidden = texture(seed, 48)
    reference, target = (seen(hidden, bump(k, k / 2, 8, 48)) for k in (0.0, 0.8))
    lit = tvl1.flow(reference + np.float32(level), target[None] + np.float32(level))
    # float32 keeps 1e-5 of a grey level at 255; OpenCV looks positions up in steps of 1/32 px, which rounding may cross
    assert distance(lit, tvl1.flow(reference, target[None])) < 0.01


@given(seed=st.integers(0, 10_000))
def test_transposed_frames_exchange_u_and_v(seed):
    hidden = texture(seed, 48)
    reference, target = (seen(hidden, bump(k, k / 2, 8, 48)) for k in (0.0, 0.8))
    found = tvl1.flow(reference, target[None])[0]
    turned = tvl1.flow(np.ascontiguousarray(reference.T), np.ascontiguousarray(target.T)[None])[0]
    assert distance(turned[::-1].transpose(0, 2, 1), found) < 0.01  # as above


@given(order=st.permutations(range(4)))
def test_exact_mode_does_not_care_for_the_order_of_targets(order):
    targets = np.random.default_rng(10).integers(0, 255, (4, 24, 32), dtype=np.uint8)
    reference = targets[0]
    straight = tvl1.flow(reference, targets, mode="exact")
    np.testing.assert_array_equal(tvl1.flow(reference, targets[order], mode="exact"), straight[order])


def test_no_targets_give_no_flow_and_the_smallest_frame_is_enough():
    frame = np.full((16, 16), 128, np.uint8)
    assert tvl1.flow(frame, np.empty((0, 16, 16), np.uint8)).shape == (0, 2, 16, 16)
    assert not tvl1.flow(frame, frame[None]).any()


def test_presets_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        tvl1.PRESETS["micro"].tau = 1.0
    with pytest.raises(TypeError):
        tvl1.PRESETS["micro"] = tvl1.PRESETS["opencv"]


GRAY = np.zeros((20, 20), np.uint8)


@pytest.mark.parametrize(
    ("reference", "targets", "options", "message"),
    [
        (GRAY, GRAY, {}, r"Got \[20, 20\] and \[20, 20\]"),
        (GRAY, np.zeros((1, 20, 21), np.uint8), {}, "same size"),
        (GRAY[:15], GRAY[None, :15], {}, "20 x 15 pixels are too small"),
        (GRAY.astype(np.float64), GRAY[None], {}, "reference is float64"),
        (GRAY, GRAY[None].astype(np.int16), {}, "targets is int16"),
        (GRAY, GRAY[None], {"preset": "fast"}, "No TV-L1 preset 'fast'"),
        (GRAY, GRAY[None], {"mode": "warm"}, "No TV-L1 mode 'warm'"),
    ],
)
def test_refuses_what_it_cannot_use(reference, targets, options, message):
    with pytest.raises(ValueError, match=message):
        tvl1.flow(reference, targets, **options)


def test_names_pixels_that_are_not_numbers():
    targets = np.zeros((1, 20, 20), np.float32)
    targets[0, 3, 4] = np.nan
    with pytest.raises(MepipeError, match="1 pixels of the targets are NaN"):
        tvl1.flow(GRAY, targets)


def _thin_line(shift: float) -> np.ndarray:
    """Float32 [16, 64, 64]: a bright line, thin as a rim of glasses, that goes down by so many px over soft skin."""
    y, x = np.mgrid[:64, :64]
    skin = 60 + 30 * cv2.GaussianBlur(np.random.default_rng(0).standard_normal((64, 64)), (0, 0), 1.5)
    line = [130 * np.exp(-0.5 * ((y - (20 + 0.3 * x) - shift * k / 15) / 0.8) ** 2) for k in range(16)]
    return np.clip(skin + np.stack(line), 0, 255).astype(np.float32)


@pytest.mark.parametrize("mode", ["clip", "exact"])
@pytest.mark.parametrize("shift", [-3.0, -2.0, 2.0, 3.0, 4.0])
def test_no_pixel_runs_away_where_a_thin_edge_moves_by_more_than_its_width(shift: float, mode: str) -> None:
    frames = _thin_line(shift)
    found = tvl1.flow(frames[0], frames[1:], mode=mode)
    assert np.hypot(found[:, 0], found[:, 1]).max() < 2 * abs(shift)  # 24 to 31 px before pixels were brought back
