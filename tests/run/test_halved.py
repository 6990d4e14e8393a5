"""float16 by the processor's instruction has the bits of numpy's conversion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mepipe.run.task import halved


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        elements=st.floats(width=32, allow_nan=False),
    )
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_same_bits_as_numpy(values: np.ndarray) -> None:
    ours = halved(values)
    assert ours.shape == values.shape
    assert ours.dtype == np.float16
    assert ours.tobytes() == values.astype(np.float16).tobytes()


def test_every_sixteen_bit_number_its_neighbours_and_the_ties_between() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    whole = halves[np.isfinite(halves)].astype(np.float32)
    tie = (np.sort(whole)[1:] + np.sort(whole)[:-1]) / 2
    values = np.concatenate([whole, tie, np.nextafter(tie, np.float32(np.inf)), np.nextafter(tie, np.float32(-np.inf))])
    assert halved(values).tobytes() == values.astype(np.float16).tobytes()


@pytest.mark.parametrize("values", [np.arange(6.0), np.arange(6, dtype=np.float16)[::2], np.ones((4, 6), np.float32).T])
def test_of_any_kind_and_contiguous(values: np.ndarray) -> None:
    ours = halved(values)
    assert ours.flags.c_contiguous
    np.testing.assert_array_equal(ours, values.astype(np.float16))
