import numpy as np
import pytest

from mepipe.ops import temporal


# One pixel, less than a block, exactly one, and a few with a remainder.
@pytest.mark.parametrize("pixels", [1, 100, temporal.BLOCK, 2 * temporal.BLOCK + 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_product_is_that_of_whole_arrays(pixels: int, dtype: type) -> None:
    rng = np.random.default_rng(pixels)
    frames = (rng.random((7, pixels)) * 200).astype(dtype)
    weights = rng.standard_normal((3, 7))
    weights -= weights.mean(axis=1, keepdims=True)
    got = temporal.mix(weights, frames, onto=frames[0])
    expected = weights @ frames.astype(np.float64) + frames[0]
    assert got.dtype == np.float32
    # Seven products of 200 with float32's relative rounding of 6e-8.
    np.testing.assert_allclose(got, expected, atol=7 * 200 * 3 * 6e-8)


def test_frames_darker_than_the_first_do_not_wrap_around() -> None:
    frames = np.array([[200], [10]], dtype=np.uint8)
    assert temporal.mix(np.array([[-1.0, 1.0]]), frames)[0, 0] == -190
