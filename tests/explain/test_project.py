"""Samples in a plane: neighbours by brute force, groups that are far apart, chance by counting."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from mepipe.explain import project


def test_neighbours_are_those_of_brute_force():
    values = np.random.default_rng(0).normal(size=(20, 4))
    found = project.nearest(values)
    for row, near in enumerate(found):
        others = [n for n in range(20) if n != row]
        assert near == min(others, key=lambda n: float(((values[n] - values[row]) ** 2).sum()))


def test_groups_stay_groups_and_shares_are_counted():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 8)
    values = rng.normal(size=(16, 5)) + 50 * labels[:, None]
    folds = ["a", "b"] * 8
    plane = project.plane("features", values, labels, ("x", "y"), folds, seed=0)
    assert plane.of_class == (1.0, pytest.approx(7 / 15))  # of the 15 others 7 are of the same class
    assert plane.of_fold[1] == pytest.approx(7 / 15)
    centres = [plane.places[labels == n].mean(axis=0) for n in (0, 1)]
    apart = np.linalg.norm(plane.places[:, None] - np.stack(centres), axis=2)
    assert (apart.argmin(axis=1) == labels).all()
    again = project.plane("features", values, labels, ("x", "y"), folds, seed=0)
    assert np.array_equal(plane.places, again.places)
