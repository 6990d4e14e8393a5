from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.ndimage import median_filter

from mepipe.ops._median import median5


def _filtered(plane: np.ndarray) -> np.ndarray:
    field = np.full((plane.shape[0] + 2, plane.shape[1] + 2), 7e7, np.float32)  # the ring must not be read
    field[1:-1, 1:-1] = plane
    median5(field)
    assert (field[0] == 7e7).all()
    assert (field[:, -1] == 7e7).all()
    return field[1:-1, 1:-1]


def test_every_pattern_of_zeros_and_ones_gives_its_median() -> None:
    # A selection network that is right for all columns of zeros and ones is right for all numbers.
    counts = np.array(list(itertools.product(range(6), repeat=5)))
    patterns = (np.arange(5)[:, None] >= 5 - counts[:, None, :]).astype(np.float32)  # [7776, 5, 5]
    side_by_side = np.concatenate(list(patterns), axis=1)
    centre = _filtered(side_by_side)[2, 2::5]
    assert np.array_equal(centre, (counts.sum(axis=1) >= 13).astype(np.float32))


@given(
    npst.arrays(
        np.float32,
        st.tuples(st.integers(5, 40), st.integers(5, 40)),
        elements=st.floats(-100, 100, width=32),
    )
)
@settings(max_examples=300)
def test_is_the_median_with_repeated_borders(plane: np.ndarray) -> None:
    assert np.array_equal(_filtered(plane), median_filter(plane, size=5, mode="nearest"))
