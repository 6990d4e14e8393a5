from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.signal import butter, sosfreqz

from mepipe.errors import MepipeError
from mepipe.ops import eulerian, phase

SIZE = 48
# The mirrored edges move the other way.
INNER = np.s_[10:-10, 10:-10]
FPS = 20.0
TIME = np.arange(200) / FPS
# Four seconds in the middle: whole periods, and the ends' effect has died away.
MIDDLE = slice(60, 140)

Picture = Callable[[float, float], np.ndarray]


def waves(vectors: np.ndarray, phases: np.ndarray) -> Picture:
    """A picture of plane waves, in 0..1, as a function of its shift in x and y (px): exact at any shift."""
    y, x = np.mgrid[:SIZE, :SIZE]
    still = np.exp(1j * (np.multiply.outer(x, vectors[:, 0]) + np.multiply.outer(y, vectors[:, 1]) + phases))
    height = 0.15 / np.sqrt(len(phases))
    return lambda dx, dy: 0.5 + height * (still @ np.exp(-1j * (vectors @ [dx, dy]))).real


def texture(seed: int) -> Picture:
    """Forty waves of all directions, 5 to 20 px long."""
    rng = np.random.default_rng(seed)
    angle, length = rng.uniform(0, 2 * np.pi, 40), np.exp(rng.uniform(np.log(5), np.log(20), 40))
    vectors = 2 * np.pi / length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return waves(vectors, rng.uniform(0, 2 * np.pi, 40))


def moving(picture: Picture, path: np.ndarray, direction: float = 0.0) -> np.ndarray:
    """Frames float32 [T, H, W] of a picture that moves along a direction (radians) by `path` px."""
    return np.stack([picture(np.cos(direction) * d, np.sin(direction) * d) for d in path]).astype(np.float32)


def shift_of(frame: np.ndarray, picture: Picture, direction: float, around: float) -> float:
    """How far the picture has moved along the direction in a frame, by least squares."""

    def distance(d: float) -> float:
        moved = picture(np.cos(direction) * d, np.sin(direction) * d)
        return float(np.square(moved - frame)[INNER].sum())

    bounds = (around - 1, around + 1)
    return float(minimize_scalar(distance, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)


def gain_of(magnified: np.ndarray, picture: Picture, direction: float, hertz: float, expected: complex) -> complex:
    """By what the swing sin(2 pi hertz t) was multiplied: size and phase, from every fourth frame of the middle."""
    looked = np.arange(*MIDDLE.indices(len(TIME)))[::4]
    wave = np.exp(2j * np.pi * hertz * TIME[looked])
    guess = (expected * wave).imag
    found = [shift_of(magnified[i], picture, direction, g) for i, g in zip(looked, guess, strict=True)]
    return complex(2j * np.mean(np.array(found) * wave.conj()))


def response(hertz: float, causal: bool) -> complex:
    """Of the Butterworth band-pass 0.4-4 Hz, from scipy."""
    _, found = sosfreqz(butter(2, [0.4, 4.0], btype="band", fs=FPS, output="sos"), worN=[hertz], fs=FPS)
    return complex(found[0]) if causal else abs(found[0]) ** 2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("hertz", "direction"), [(0.75, 0.0), (1.25, 0.5 * np.pi), (3.0, 0.6)])
def test_motion_of_a_texture_is_enlarged_as_the_transfer_function_says(
    hertz: float, direction: float, causal: bool
) -> None:
    picture, swing, alpha = texture(seed=1), 0.05, 10.0
    frames = moving(picture, swing * np.sin(2 * np.pi * hertz * TIME), direction)
    expected = 1 + alpha * response(hertz, causal)
    magnified = phase.magnify(frames, FPS, alpha=alpha, causal=causal)
    measured = gain_of(magnified, picture, direction, hertz, swing * expected) / swing
    # The outline of each level's pattern stays where it is: motion is 11-16 % short here, and never late.
    assert 0.8 < abs(measured) / abs(expected) < 1.0
    assert abs(np.angle(measured / expected)) < np.radians(2)


@pytest.mark.parametrize("length", [3.0, 4.0, 5.7, 11.0])
@pytest.mark.parametrize("direction", [0.0, 0.25 * np.pi, 1.9])
def test_a_single_wave_moves_by_the_whole_factor_and_keeps_its_height(length: float, direction: float) -> None:
    # No outline to stay behind, so that nothing is lost; 0.07 px become half a wave of 3 px.
    vector = 2 * np.pi / length * np.array([[np.cos(direction), np.sin(direction)]])
    picture = waves(vector, np.array([0.3]))
    path = 0.07 * np.sin(2 * np.pi * 1.25 * TIME)
    magnified = phase.magnify(moving(picture, path, direction), FPS, alpha=20.0)
    enlarged = path * (1 + 20 * response(1.25, causal=False).real)
    expected = moving(picture, enlarged, direction)
    error = (magnified - expected)[MIDDLE][:, *INNER]
    # 5 % of the wave: where it meets its mirror image at the edges it is no single wave.
    assert np.sqrt(np.square(error).mean()) < 0.05 * 0.15 / np.sqrt(2)


@pytest.mark.parametrize("hertz", [0.05, 15.0])
def test_motion_outside_the_band_stays_as_it_is(hertz: float) -> None:
    frames = moving(texture(seed=2), 0.2 * np.sin(2 * np.pi * hertz * np.arange(401) / 40))
    change = phase.magnify(frames, 40, low=1.0, high=3.0, alpha=10.0) - frames
    # alpha |H|^2 is below 0.005 at either frequency; the ends, held, are no sinusoids and die away.
    assert np.abs(change[170:230][:, *INNER]).max() < 0.01 * np.abs(frames - frames.mean(axis=0)).max()


def test_light_that_comes_and_goes_is_not_taken_for_motion() -> None:
    still = texture(seed=3)(0, 0)
    light = 1 + 0.02 * np.sin(2 * np.pi * 1.25 * TIME)
    frames = (light[:, None, None] * still).astype(np.float32)
    swing = np.abs(frames - frames.mean(axis=0)).max()
    # Scaling turns no phase: rounding is left. The Eulerian method enlarges it tenfold, as it is meant to.
    assert np.abs(phase.magnify(frames, FPS, alpha=10.0) - frames).max() < 1e-3 * swing
    assert np.abs(eulerian.magnify(frames, FPS, alpha=10.0) - frames).max() > 9 * swing


@pytest.mark.parametrize("alpha", [10.0, 20.0])
def test_noise_grows_less_than_a_third_as_much_as_in_the_eulerian_method(alpha: float) -> None:
    still = texture(seed=4)(0, 0)
    noise = np.random.default_rng(0).normal(0, 2 / 255, (40, SIZE, SIZE))
    frames = (still + noise).astype(np.float32)
    by_phase, by_grey = (
        np.std((method.magnify(frames, 25.0, alpha=alpha) - still)[:, *INNER]) for method in (phase, eulerian)
    )
    # Measured: 0.27 of it at alpha 10 and 0.21 at 20, the noise that was there before included.
    assert np.std(noise) < by_phase < by_grey / 3


def test_the_causal_filter_does_not_see_what_comes_later() -> None:
    frames = moving(texture(seed=5), np.linspace(0, 1, 12))
    changed = frames.copy()
    changed[7:] = changed[7:, ::-1]
    first, second = (phase.magnify(clip, 100, causal=True) for clip in (frames, changed))
    np.testing.assert_allclose(first[:7], second[:7], atol=1e-6)
    assert not np.allclose(first[7:], second[7:], atol=0.1)


@pytest.mark.parametrize("shape", [(2, 1, 1), (5, 8, 9), (5, 33, 20, 1), (3, 40, 26, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_is_kept_and_alpha_zero_changes_no_bit(shape: tuple[int, ...], dtype: type) -> None:
    frames = np.random.default_rng(1).random(shape).astype(dtype)
    same = phase.magnify(frames, fps=30, alpha=0)
    assert same.dtype == np.float32
    np.testing.assert_array_equal(same, frames.astype(np.float32))
    assert phase.magnify(frames, fps=30).shape == shape


def test_a_still_clip_stays() -> None:
    picture = np.random.default_rng(2).random((1, 30, 41, 3), dtype=np.float32)
    still = np.repeat(picture, 13, axis=0)
    np.testing.assert_allclose(phase.magnify(still, 30, alpha=100), still, atol=1e-6)


def test_colour_moves_by_the_luma_and_grey_as_one_channel() -> None:
    grey = moving(texture(seed=6), 0.3 * np.sin(np.arange(20) / 3))
    colour = np.stack([grey, 0.5 * grey, 0.2 + 0.3 * grey], axis=-1)
    alone = phase.magnify(grey, 30)
    np.testing.assert_array_equal(phase.magnify(grey[..., None], 30)[..., 0], alone)
    threefold = phase.magnify(np.repeat(grey[..., None], 3, axis=-1), 30)
    # The weights of luma add up to one but for rounding, which alpha enlarges.
    np.testing.assert_allclose(threefold, np.repeat(alone[..., None], 3, axis=-1), atol=1e-4)
    change = phase.magnify(colour, 30) - colour
    np.testing.assert_allclose(change, np.repeat(change[..., :1], 3, axis=-1), atol=1e-6)
    assert np.abs(change).max() > 0.05


@given(
    seed=st.integers(0, 1000),
    n_frames=st.integers(2, 12),
    added=st.floats(-1, 1),
    scale=st.floats(0.25, 4),
    fps=st.sampled_from([25.0, 30.0, 200.0]),
    faster=st.floats(0.5, 4),
)
def test_grey_added_contrast_and_the_unit_of_time_change_nothing_else(
    seed: int, n_frames: int, added: float, scale: float, fps: float, faster: float
) -> None:
    path = np.random.default_rng(seed).normal(0, 0.1, n_frames).cumsum()
    frames = moving(texture(seed), path)
    change = phase.magnify(frames, fps, alpha=3.0) - frames
    other = (added + scale * frames).astype(np.float32)
    again = phase.magnify(other, fps * faster, 0.4 * faster, 4.0 * faster, alpha=3.0) - other
    # Float32 rounding of greys up to 5, at alpha 3, where the texture is weakest.
    np.testing.assert_allclose(again / scale, change, atol=1e-3)


@given(seed=st.integers(0, 1000), direction=st.floats(0, 2 * np.pi))
def test_x_and_y_are_treated_alike(seed: int, direction: float) -> None:
    frames = moving(texture(seed), np.linspace(0, 0.5, 6), direction)
    turned = phase.magnify(np.ascontiguousarray(frames.swapaxes(1, 2)), 30, alpha=3.0)
    apart = np.abs(turned.swapaxes(1, 2) - phase.magnify(frames, 30, alpha=3.0))
    # Of 4,000 cases 3,998 agree to 3e-6. In two a pattern vanishes where it is sampled, its phase goes half a turn from
    # one frame to the next, and rounding says which way: around there they are up to .0013 apart.
    assert apart.max() < 3e-3
    assert np.median(apart) < 1e-6


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.zeros((4, 8, 8), np.float32), {"fps": 8}, r"No pass-band from 0.4 to 4 Hz at 8 frames per second"),
        (np.zeros((4, 8, 8), np.float32), {"low": 5.0}, "No pass-band"),
        (np.zeros((1, 4, 4), np.float32), {}, "two frames, got 1"),
        (np.zeros((4, 4, 4), np.uint8), {}, r"got uint8 \[4, 4, 4\]"),
        (np.zeros((4, 4, 4, 2), np.float32), {}, r"grey or RGB frames, got \[4, 4, 4, 2\]"),
    ],
)
def test_what_cannot_be_magnified_is_refused_by_name(frames: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(MepipeError, match=message):
        phase.magnify(frames, **{"fps": 30, **options})
