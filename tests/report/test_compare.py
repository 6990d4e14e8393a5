"""Paired comparisons against cases by hand, and against the intervals of single runs."""

from math import comb

import numpy as np
import pytest

pytest.importorskip("torch")

from mepipe.report import compare
from mepipe.train import metrics


def test_one_subject_each_way_by_hand():
    """Two subjects of one sample: of the four draws of two, A alone, both (twice) and B alone weigh 1:2:1.

    The first run is right on A only, the second on neither: ACC falls by 1, .5 or 0, at .25, .5, .25 of the draws, so
    that the 2.5th and the 97.5th percentile are -1 and 0.
    """
    true, first, second = np.array([0, 1]), np.array([0, 0]), np.array([1, 0])
    assert compare.bootstrap(true, first, second, ["A", "B"], 2)["ACC"] == (-1.0, 0.0)
    assert compare.bootstrap(true, second, first, ["A", "B"], 2)["ACC"] == (0.0, 1.0)


def test_percentiles_are_those_of_all_draws_enumerated():
    """Of four subjects there are 35 draws, whose distribution is known, and so the difference's in ACC."""
    gains = np.array([3, 0, 1, -2])  # samples of 4 that the second run has right and the first has not
    true = np.zeros(16, int)
    first, second = np.ones(16, int), np.ones(16, int)
    for subject, gain in enumerate(gains):
        (second if gain > 0 else first)[4 * subject : 4 * subject + abs(gain)] = 0
    found = compare.bootstrap(true, first, second, [s for s in "abcd" for _ in range(4)], 2)["ACC"]
    values, chances = [], []
    for a in range(5):
        for b in range(5 - a):
            for c in range(5 - a - b):
                n = np.array([a, b, c, 4 - a - b - c])
                values.append((n * gains).sum() / 16)
                chances.append(comb(4, a) * comb(4 - a, b) * comb(4 - a - b, c) / 4**4)
    order = np.argsort(values)
    summed = np.cumsum(np.array(chances)[order])
    exact = [np.array(values)[order][np.searchsorted(summed, q)] for q in (0.025, 0.975)]
    assert found == pytest.approx(exact, abs=1 / 16)  # 2,000 draws miss a percentile by one step of the values at most


@pytest.mark.parametrize("units", [False, True])
def test_against_a_run_that_is_always_wrong_the_interval_is_the_single_runs(units):
    """Where the second run scores 0 in every draw, the difference is minus the first run's score: the same draws."""
    rng = np.random.default_rng(3)
    subjects = [f"s{i % 7}" for i in range(70)]
    shape = (70, 3) if units else (70,)
    true = rng.integers(0, 2, shape)
    first = np.where(rng.random(shape) < 0.3, 1 - true, true)
    single = (metrics.intervals_units if units else metrics.intervals)(true, first, subjects, 3 if units else 2)
    found = compare.bootstrap(true, first, 1 - true, subjects, 3 if units else 2)
    for name, (low, high) in single.items():
        assert found[name] == pytest.approx((-high, -low))


def test_the_same_predictions_are_no_difference():
    true = np.arange(12) % 3
    guess = (true + (np.arange(12) % 4 == 0)) % 3
    found = compare.bootstrap(true, guess, guess, [f"s{i % 4}" for i in range(12)], 3)
    assert set(found.values()) == {(0.0, 0.0)}


@pytest.mark.parametrize(
    ("first", "second", "p"), [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 2 / 64), (1, 7, 2 * (1 + 8) / 256)]
)
def test_mcnemar_by_hand(first, second, p):
    """Two-sided binomial tails of a fair coin."""
    assert compare.mcnemar(first, second) == pytest.approx(p)
    assert compare.mcnemar(second, first) == pytest.approx(p)
