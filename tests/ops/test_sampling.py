import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mepipe.errors import MepipeError, SampleError, UsageError
from mepipe.ops.sampling import STRATEGIES, at, indices, positions, smoothing_width

COUNTED = ("uniform", "key-frame", "middle", "apex-window", "random")


@st.composite
def moments(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """n_frames, onset, apex, offset of a clip."""
    onset, apex, offset = sorted(draw(st.tuples(*[st.integers(0, 120)] * 3)))
    return offset + 1 + draw(st.integers(0, 20)), onset, apex, offset


@given(moments(), st.sampled_from(COUNTED), st.integers(3, 40), st.integers(0, 99))
def test_indices_are_sorted_in_range_and_as_many_as_asked(
    clip: tuple[int, int, int, int], strategy: str, count: int, seed: int
) -> None:
    _, onset, _, offset = clip
    chosen = indices(strategy, *clip, count=count, rng=np.random.default_rng(seed))
    length = offset - onset + 1
    short = length < count
    assert chosen.dtype == np.int64
    assert len(chosen) == (length if short and strategy in ("middle", "apex-window") else count)
    assert onset <= chosen[0]
    assert chosen[-1] <= offset
    steps = np.diff(chosen)
    # Distinct where there are enough; otherwise a repeat is allowed and a step back is not.
    assert np.all(steps >= (0 if short else 1))


@given(moments(), st.integers(3, 40))
def test_key_frame_sampling_always_keeps_onset_apex_and_offset(clip: tuple[int, int, int, int], count: int) -> None:
    assert set(clip[1:]) <= set(indices("key-frame", *clip, count=count).tolist())


@given(moments(), st.integers(3, 12))
def test_key_frame_steps_differ_little_where_there_are_frames_enough(
    clip: tuple[int, int, int, int], count: int
) -> None:
    _, onset, apex, offset = clip
    chosen = indices("key-frame", *clip, count=count)
    rise, fall = np.diff(chosen[chosen <= apex]), np.diff(chosen[chosen >= apex])
    even = (offset - onset) / (count - 1)
    # Frames enough, and two steps or more on either side: else there is nothing to even out.
    assume(even >= 1 and min(apex - onset, offset - apex) >= 2 * even)
    # Rounding the number of steps moves their mean by at most a third here, rounding to frames by another
    # one.
    assert max(abs(side.mean() - even) for side in (rise, fall)) <= even / 3
    assert max(np.ptp(side) for side in (rise, fall)) <= 1


@given(moments(), st.integers(1, 40))
def test_windows_are_consecutive_and_centred(clip: tuple[int, int, int, int], count: int) -> None:
    _, onset, apex, offset = clip
    middle, window = (indices(strategy, *clip, count=count) for strategy in ("middle", "apex-window"))
    for chosen in (middle, window):
        assert np.all(np.diff(chosen) == 1)
    # As much before as after, to one frame.
    assert abs((middle[0] - onset) - (offset - middle[-1])) <= 1
    assert apex in window
    if onset < window[0] and window[-1] < offset:
        assert abs((apex - window[0]) - (window[-1] - apex)) <= 1


@given(moments(), st.integers(0, 50))
def test_a_window_longer_than_the_movement_is_the_movement(clip: tuple[int, int, int, int], more: int) -> None:
    full = indices("full", *clip)
    np.testing.assert_array_equal(full, np.arange(clip[1], clip[3] + 1))
    for strategy in ("middle", "apex-window"):
        np.testing.assert_array_equal(indices(strategy, *clip, count=len(full) + more), full)


def test_the_rules_by_example() -> None:
    clip = (70, 10, 30, 60)
    assert indices("uniform", *clip, count=6).tolist() == [10, 20, 30, 40, 50, 60]
    assert indices("key-frame", *clip, count=6).tolist() == [10, 20, 30, 40, 50, 60]
    assert indices("key-frame", 70, 10, 12, 60, 4).tolist() == [10, 12, 36, 60]
    assert indices("middle", *clip, count=3).tolist() == [34, 35, 36]
    assert indices("apex-window", *clip, count=3).tolist() == [29, 30, 31]
    assert indices("apex-window", 70, 10, 11, 60, 4).tolist() == [10, 11, 12, 13]
    assert indices("onset-apex", *clip).tolist() == [10, 30]


def test_random_sampling_follows_its_generator_and_reaches_every_frame() -> None:
    first, again = (indices("random", 20, 2, None, 17, 5, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    rng = np.random.default_rng(0)
    seen = set(np.concatenate([indices("random", 20, 2, None, 17, 5, rng) for _ in range(100)]).tolist())
    assert seen == set(range(2, 18))


def test_only_what_uses_the_apex_needs_it() -> None:
    rng = np.random.default_rng(0)
    for strategy in STRATEGIES:
        if strategy in ("key-frame", "apex-window", "onset-apex"):
            with pytest.raises(SampleError, match=f"{strategy} sampling needs the apex"):
                indices(strategy, 20, 2, None, 17, 5, rng)
        else:
            assert len(indices(strategy, 20, 2, None, 17, 5, rng)) in (5, 16)


@pytest.mark.parametrize("moments", [(-1, 2, 5), (3, 2, 5), (0, 6, 5), (0, 2, 10), (5, None, 4)])
def test_moments_that_do_not_fit_the_clip_are_refused(moments: tuple) -> None:
    with pytest.raises(SampleError, match="do not fit a clip of 10 frames"):
        indices("full", 10, *moments)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(UsageError, match=r"No sampling called 'keyframe'. Choose one of uniform, key-frame"):
        indices("keyframe", 10, 0, 5, 9, 3)
    with pytest.raises(UsageError, match="Set count to 3 or more"):
        indices("key-frame", 10, 0, 5, 9, 2)
    with pytest.raises(UsageError, match="uniform sampling cannot give None frames"):
        indices("uniform", 10, 0, 5, 9)
    with pytest.raises(UsageError, match=r"Give rng=np.random.default_rng"):
        indices("random", 10, 0, 5, 9, 3)
    with pytest.raises(UsageError, match="No 0 positions in 5 frames"):
        positions(5, 0)
    with pytest.raises(MepipeError, match=r"Positions from 0 to 5 .* 5 frames.\nThey must be in 0..4"):
        at(np.zeros((5, 2), np.float32), np.array([0.0, 5.0]))
    with pytest.raises(MepipeError, match=r"must be in 0..4"):
        at(np.zeros((5, 2), np.float32), np.array([0.0, np.nan]))
    with pytest.raises(UsageError, match="width of -1 frames"):
        at(np.zeros((5, 2), np.float32), np.array([0.0]), width=-1)


@given(st.integers(1, 200), st.integers(1, 40))
def test_positions_span_the_clip_at_regular_intervals(n_frames: int, count: int) -> None:
    where = positions(n_frames, count)
    assert where.dtype == np.float64
    even = np.linspace(0, n_frames - 1, count)
    if n_frames < count:
        np.testing.assert_array_equal(where, even)
    else:
        assert np.all(where == np.round(where))
        assert len(set(where)) == count
        assert np.max(np.abs(where - even)) <= 0.5
    assert where[0] == 0
    assert count == 1 or where[-1] == n_frames - 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_whole_positions_give_the_frames_and_halves_the_means(dtype: type) -> None:
    frames = (np.random.default_rng(1).random((5, 3, 4)) * 255).astype(dtype)
    got = at(frames, np.array([4.0, 0.0, 1.5, 2.0]))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[[0, 1, 3]], frames[[4, 0, 2]].astype(np.float32))
    np.testing.assert_allclose(got[2], frames[1:3].astype(np.float64).mean(axis=0), rtol=1e-6)


@given(
    st.integers(2, 40),
    st.lists(st.floats(0, 1), min_size=1, max_size=5),
    st.floats(-1, 1),
    st.floats(0, 1),
)
def test_a_steady_change_is_interpolated_exactly(
    n_frames: int, shares: list[float], slope: float, start: float
) -> None:
    frames = (start + slope * np.arange(n_frames, dtype=np.float64) / n_frames)[:, None].astype(np.float32)
    where = np.array([0.0, n_frames - 1.0] + [share * (n_frames - 1) for share in shares])
    np.testing.assert_allclose(at(frames, where)[:, 0], start + slope * where / n_frames, atol=3e-6)  # float32 frames


@given(
    st.floats(0.5, 3),
    st.lists(st.floats(13, 27), min_size=1, max_size=5),
    st.lists(st.floats(-1, 1), min_size=5, max_size=5),
)
def test_smoothing_leaves_a_quartic_as_it_is(width: float, where: list[float], factors: list[float]) -> None:
    def course(time: np.ndarray) -> np.ndarray:
        return np.polyval(factors, (time - 20) / 20)

    frames = course(np.arange(41.0))[:, None].astype(np.float32)
    np.testing.assert_allclose(at(frames, np.array(where), width)[:, 0], course(np.array(where)), atol=3e-6)


@given(st.integers(2, 30), st.floats(0.5, 6), st.integers(0, 99))
def test_smoothing_takes_the_clip_to_rest_at_its_ends(n_frames: int, width: float, seed: int) -> None:
    frames = np.random.default_rng(seed).random((n_frames, 4))
    whole = np.pad(frames, ((30, 30), (0, 0)), mode="reflect")  # mirrored in its first and its last frame
    where = np.linspace(0, n_frames - 1, 5)
    number = np.arange(-30.0, n_frames + 30)
    expected = []
    for position in where:
        away = number - position
        weight = np.exp(-0.5 * (away / width) ** 2) * (abs(away) <= max(4 * width, 2.5))
        expected.append([np.polyfit(away, column, 4, w=np.sqrt(weight))[4] for column in whole.T])
    np.testing.assert_allclose(at(frames, where, width), expected, atol=1e-5)  # float32


@given(st.integers(1, 30), st.floats(0, 6), st.floats(0, 1, width=32))
def test_a_still_clip_stays_as_it_is(n_frames: int, width: float, value: float) -> None:
    still = np.full((n_frames, 3), value, dtype=np.float32)
    got = at(still, np.linspace(0, n_frames - 1, 7), width)
    np.testing.assert_array_equal(got, np.full((7, 3), value, dtype=np.float32))


def test_smoothing_removes_noise_within_the_clip_and_at_its_ends() -> None:
    noise = np.random.default_rng(2).standard_normal((41, 20_000)).astype(np.float32)
    within, first = at(noise, np.array([20.0, 0.0]), width=4).std(axis=1)
    # The noise gain of a quartic with Gaussian weights: sqrt(2265 / (2048 sqrt(pi) 4)) = 0.395; at the ends the mirror
    # images add nothing new. 20,000 pixels know a standard deviation to 0.5 %.
    assert within == pytest.approx(0.395, rel=0.02)
    assert first == pytest.approx(0.53, rel=0.03)


@pytest.mark.parametrize(("phase", "most"), [(0.0, 0.005), (0.08, 0.065)])
def test_the_onset_is_hardly_pulled_into_the_movement(phase: float, most: float) -> None:
    # A movement of 0.3 s at 200 fps that starts at rest, and one cut in mid-rise.
    course = 0.5 * (1 - np.cos(2 * np.pi * (np.arange(61) / 200 + phase) / 0.3)).astype(np.float32)
    got = at(course[:, None], np.array([0.0]), smoothing_width(200))[0, 0]
    assert abs(got - course[0]) < most


def test_a_short_peak_is_hardly_lowered() -> None:
    course = 0.5 * (1 - np.cos(2 * np.pi * np.arange(31) / 30)).astype(np.float32)  # 0.15 s at 200 fps
    assert at(course[:, None], np.array([15.0]), smoothing_width(200))[0, 0] > 0.99


def test_the_width_is_a_time_and_nothing_at_low_rates() -> None:
    assert smoothing_width(200) == 2 * smoothing_width(100) == pytest.approx(4)
    assert smoothing_width(25) == smoothing_width(30) == smoothing_width(49) == 0
