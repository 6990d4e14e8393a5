import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.errors import MepipeError, UsageError
from mepipe.ops.rank_pool import METHODS, even_light, ordering_accuracy, rank_pool, to_image, weights

CLOSED = ("approximate", "approximate-frames")


def drifting(n_frames: int, pixels: int = 30, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """A clip that turns from one picture into another, with noise in every frame: float32 [T, pixels]."""
    rng = np.random.default_rng(seed)
    start, end = rng.random((2, pixels))
    share = np.linspace(0, 1, n_frames)[:, None]
    return ((1 - share) * start + share * end + noise * rng.standard_normal((n_frames, pixels))).astype(np.float32)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 16, 200])
def test_weights_are_the_published_closed_forms(n_frames: int) -> None:
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, n_frames + 1))])
    running = [
        2 * (n_frames - t + 1) - (n_frames + 1) * (harmonic[n_frames] - harmonic[t - 1]) for t in range(1, n_frames + 1)
    ]
    # Float64 sums of a few hundred terms of that size.
    np.testing.assert_allclose(weights(n_frames, "approximate"), running, atol=1e-9)
    frames = [2 * t - n_frames - 1 for t in range(1, n_frames + 1)]
    np.testing.assert_array_equal(weights(n_frames, "approximate-frames"), frames)


@pytest.mark.parametrize("method", CLOSED)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pooling_is_the_sum_over_pairs_of_later_minus_earlier_features(method: str, dtype: type) -> None:
    frames = (np.random.default_rng(2).random((9, 4, 5, 3)) * 255).astype(dtype)
    features = frames.astype(np.float64)
    if method == "approximate":
        features = np.stack([features[: t + 1].mean(axis=0) for t in range(9)])
    pairs = sum(features[q] - features[t] for q in range(9) for t in range(q))
    pooled = rank_pool(frames, method)
    assert pooled.dtype == np.float32
    # Values to some thousands in float32.
    np.testing.assert_allclose(pooled, pairs, atol=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_frames", [1, 2, 7])
def test_a_still_clip_pools_to_exactly_zero(method: str, n_frames: int) -> None:
    still = np.tile(np.random.default_rng(3).random((4, 5)).astype(np.float32), (n_frames, 1, 1))
    np.testing.assert_array_equal(rank_pool(still, method), np.zeros((4, 5), np.float32))


clips = st.tuples(st.integers(1, 20), st.integers(0, 2**32 - 1)).map(
    lambda size_and_seed: np.random.default_rng(size_and_seed[1]).random((size_and_seed[0], 3, 2), dtype=np.float32)
)


@given(clips)
def test_reversing_the_clip_negates_its_frame_weighted_image(frames: np.ndarray) -> None:
    forward, backward = (rank_pool(clip, "approximate-frames") for clip in (frames, frames[::-1]))
    # 20 terms of up to 19 in float32.
    np.testing.assert_allclose(backward, -forward, atol=1e-4)


@given(clips, st.sampled_from(CLOSED), st.floats(-3, 3), st.floats(-3, 3))
def test_pooling_is_linear_and_blind_to_a_constant(
    frames: np.ndarray, method: str, factor: float, constant: float
) -> None:
    changed = (factor * frames + constant).astype(np.float32)
    np.testing.assert_allclose(rank_pool(changed, method), factor * rank_pool(frames, method), atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_steady_change_is_ranked_without_error(method: str) -> None:
    frames = drifting(20, noise=0.01)
    pooled = rank_pool(frames, method)
    assert ordering_accuracy(frames, pooled) == 1.0
    assert ordering_accuracy(frames, -pooled) == 0.0


def test_the_ranking_machine_ranks_what_the_weighted_sum_does_not() -> None:
    # One pixel flickers far more than the others change: a sum over frames cannot leave it out, the machine
    # can.
    frames = drifting(15)
    frames[:, 0] += 3 * np.sin(np.arange(15))
    assert ordering_accuracy(frames, rank_pool(frames, "approximate")) < 0.9
    assert ordering_accuracy(frames, rank_pool(frames, "exact", slack=1e4)) == 1.0


def test_the_weighted_sum_is_the_ranking_machine_with_little_slack() -> None:
    # With every pair within the margin the machine's optimum is the sum over pairs of later minus earlier
    # means.
    frames = drifting(12, noise=0.3)
    exact, approximate = (
        rank_pool(frames, method, slack=1e-3).astype(np.float64) for method in ("exact", "approximate")
    )
    cosine = exact @ approximate / np.linalg.norm(exact) / np.linalg.norm(approximate)
    # Float32 results of collinear vectors, and the solver's stopping rule.
    assert cosine == pytest.approx(1, abs=1e-5)
    free = rank_pool(frames, "exact", slack=100).astype(np.float64)
    assert free @ approximate / np.linalg.norm(free) / np.linalg.norm(approximate) < 0.99


def test_a_movement_that_returns_leaves_nothing_in_the_frame_weighted_image() -> None:
    out_and_back = np.concatenate([drifting(8), drifting(8)[::-1]])
    np.testing.assert_allclose(rank_pool(out_and_back, "approximate-frames"), 0, atol=1e-5)
    assert np.abs(rank_pool(out_and_back, "approximate")).max() > 1


def test_ordering_accuracy_counts_pairs_and_takes_ties_for_errors() -> None:
    frames = np.array([0.0, 1.0, 1.0, 0.5])[:, None]
    up = np.ones(1)
    # In order: 0-1, 0-1, 0-0.5; tied: 1-1; against: 1-0.5, twice.
    assert ordering_accuracy(frames, up, running_mean=False) == 3 / 6
    # Running means 0, 1/2, 2/3, 5/8: only 2/3 - 5/8 goes down.
    assert ordering_accuracy(frames, up) == 5 / 6


def test_to_image_uses_one_range_for_all_channels() -> None:
    pooled = np.array([[[-2.0, 0.0, 2.0]], [[1.0, -1.0, 0.0]]])
    # (p + 2) / 4 * 255, halves to even.
    np.testing.assert_array_equal(to_image(pooled), [[[0, 128, 255]], [[191, 64, 128]]])
    assert to_image(pooled).dtype == np.uint8


def test_a_still_clip_is_shown_mid_grey_and_nan_is_refused() -> None:
    np.testing.assert_array_equal(to_image(np.zeros((2, 2, 3))), np.full((2, 2, 3), 128))
    with pytest.raises(MepipeError, match="Check the frames for NaN"):
        to_image(np.array([0.0, np.nan]))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(UsageError, match=r"No rank pooling called 'aproximate'.*approximate-frames, exact"):
        rank_pool(drifting(3), "aproximate")
    with pytest.raises(MepipeError, match="Nothing to pool"):
        rank_pool(np.zeros((0, 4, 4), np.float32))
    with pytest.raises(MepipeError, match="no order in 1 frame"):
        ordering_accuracy(drifting(1), np.ones(30))
    with pytest.raises(UsageError, match="slack=0"):
        rank_pool(drifting(3), "exact", slack=0)


def test_even_light_undoes_a_gain_and_leaves_a_steady_clip_alone() -> None:
    rng = np.random.default_rng(8)
    clip = np.broadcast_to(rng.uniform(20, 200, (1, 9, 7, 3)), (6, 9, 7, 3)).astype(np.float32)
    gains = np.linspace(0.97, 1.03, 6, dtype=np.float32)[:, None, None, None]
    np.testing.assert_allclose(even_light(clip * gains), clip * gains[0], rtol=1e-6)
    np.testing.assert_allclose(even_light(clip), clip, rtol=1e-6)
    dark = np.zeros((2, 3, 3, 1), np.uint8)
    np.testing.assert_array_equal(even_light(dark), dark)
