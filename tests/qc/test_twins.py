from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.qc import twins


def test_the_same_files_are_found_and_unreadable_ones_are_not_the_same() -> None:
    table = pd.DataFrame({"frames": ["x", "y", "x", "", "", "x"]}, index=list("abcdef"))
    assert list(twins.same_files(table)) == [("a", "c"), ("a", "f")]


@given(st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 40), st.integers(0, 20)), min_size=2, max_size=12))
def test_overlaps_are_those_of_sets_of_frames(spans: list[tuple[str, int, int]]) -> None:
    table = pd.DataFrame(
        [(clip, onset, onset + length) for clip, onset, length in spans],
        columns=["clip", "onset", "offset"],
        index=[f"s{i}" for i in range(len(spans))],
    )
    frames = [{(clip, n) for n in range(onset, onset + length + 1)} for clip, onset, length in spans]
    expected = {}
    for i, one in enumerate(frames):
        for j, other in enumerate(frames[:i]):
            share = len(one & other) / min(len(one), len(other))
            if share > 0.25 and one != other:
                expected[frozenset((f"s{i}", f"s{j}"))] = share
    found = {frozenset((one, other)): share for one, other, share in twins.overlapping(table, 0.25)}
    assert found == pytest.approx(expected)


def test_alike_marks_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "_BLOCK", 7)
    rng = np.random.default_rng(0)
    every = rng.standard_normal((40, 400)).astype(np.float32)
    every[33] = every[2] + 0.5 * every[33]
    every[8] = every[9]
    every /= np.linalg.norm(every, axis=1, keepdims=True)
    found = {(one, other): value for one, other, value in twins.alike({f"s{i}": m for i, m in enumerate(every)}, 0.3)}
    assert found == {("s2", "s33"): pytest.approx(0.89, abs=0.03), ("s8", "s9"): pytest.approx(1, abs=1e-5)}
    assert list(twins.alike({}, 0.3)) == []


def test_each_sample_has_its_nearest_twin() -> None:
    pairs = [("a", "b", 0.4), ("b", "c", 0.9), ("a", "c", 0.3)]
    assert twins.of_each(pairs) == {"a": (0.4, "b"), "b": (0.9, "c"), "c": (0.9, "b")}
