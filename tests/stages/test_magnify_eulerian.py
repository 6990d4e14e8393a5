import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mepipe.clip import Clip
from mepipe.ops import eulerian, sampling
from mepipe.stages.magnify_eulerian import MagnifyEulerianParams, compute


def test_gains_chroma_and_direction_reach_the_filter() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    clip = Clip(frames, np.arange(6.0), 100.0, 0, None, 5)
    chosen = MagnifyEulerianParams(alpha=5, gains=(0.0, 1.0, 0.5), chroma=0.25, causal=True)
    expected = eulerian.magnify(frames / np.float32(255), 100, alpha=5, gains=[0.0, 1.0, 0.5], chroma=0.25, causal=True)
    np.testing.assert_array_equal(compute(clip, chosen).frames, expected)


def test_gains_are_written_with_commas_on_the_command_line() -> None:
    assert MagnifyEulerianParams.model_validate({"gains": "1, 0.5,0"}).gains == (1.0, 0.5, 0.0)


def _moving(length: int) -> Clip:
    frames = np.random.default_rng(1).integers(0, 256, (length, 8, 8, 3), dtype=np.uint8)
    return Clip(frames, np.arange(float(length)), 100.0, 0, None, length - 1)


@given(st.integers(2, 40), st.integers(1, 20), st.sampled_from([0.0, 2.4]))
def test_what_is_sampled_next_is_what_sampling_all_that_was_magnified_gives(
    length: int, count: int, width: float
) -> None:
    clip = _moving(length)
    where = sampling.positions(length, count)
    whole = eulerian.magnify(clip.frames / np.float32(255), 100, alpha=5)
    chosen = compute(clip, MagnifyEulerianParams(alpha=5)).at(where, width)
    np.testing.assert_allclose(chosen.frames, sampling.at(whole, where, width), atol=3e-5)  # float32, gain 5
    np.testing.assert_array_equal(chosen.position, where)
    assert chosen.white == 1
    assert chosen.course is None


def test_all_frames_are_there_when_asked_for_and_only_then() -> None:
    clip = _moving(12)
    magnified = compute(clip, MagnifyEulerianParams(alpha=5))
    assert "frames" not in vars(magnified)
    expected = eulerian.magnify(clip.frames / np.float32(255), 100, alpha=5)
    np.testing.assert_allclose(magnified.frames, expected, atol=1e-5)
    np.testing.assert_allclose(magnified.levels(), expected * 255, atol=3e-3)


def test_a_still_clip_stays_as_it_is_and_so_does_any_at_gain_0() -> None:
    still = Clip(np.full((9, 4, 4, 3), 77, np.uint8), np.arange(9.0), 100.0, 0, None, 8)
    np.testing.assert_array_equal(compute(still, MagnifyEulerianParams()).frames, np.float32(77) * np.float32(1 / 255))
    moving = _moving(9)
    np.testing.assert_array_equal(
        compute(moving, MagnifyEulerianParams(alpha=0)).frames, moving.frames / np.float32(255)
    )
