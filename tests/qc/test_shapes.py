from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.qc import shapes
from tests.qc.face import mesh


def random_shape(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(112, 40, 68) + 1j * rng.normal(112, 40, 68)


@given(st.floats(-90, 90), st.floats(0.3, 3), st.floats(-200, 200))
def test_place_turn_and_size_make_no_difference(degrees: float, scale: float, shift: float) -> None:
    shape = random_shape(1)
    moved = scale * np.exp(1j * np.deg2rad(degrees)) * shape + shift * (1 + 0.5j)
    assert shapes.apart(moved, shape) == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 67), st.floats(1, 30))
def test_one_point_elsewhere_counts_with_one_in_68(point: int, by: float) -> None:
    other = random_shape(1)
    other[point] += by
    found = shapes.apart(random_shape(1), other)
    assert 0.8 * by / np.sqrt(68) < found <= by / np.sqrt(68)  # the fit takes up a little


def test_a_symmetric_face_has_no_asymmetry_and_a_turned_one_has() -> None:
    half = random_shape(2)
    symmetric = (half - half.conj()[shapes._MIRROR]) / 2 + 112  # the mean of a face and its mirror image
    assert shapes.asymmetry(symmetric) == pytest.approx(0, abs=1e-9)
    depth = 60 - np.abs(symmetric.real - 112)  # of a roof: its ridge moves to the side
    values = [shapes.asymmetry(symmetric + np.sin(np.deg2rad(angle)) * depth) for angle in (5, 10, 20)]
    assert 0.5 < values[0] < values[1] < values[2]


def test_mirroring_twice_is_no_mirroring() -> None:
    mirror = np.array(shapes._MIRROR)
    np.testing.assert_array_equal(mirror[mirror], np.arange(68))


def test_points_are_those_of_a_crop_of_224() -> None:
    np.testing.assert_allclose(shapes.points(mesh(448), 448), shapes.points(mesh(), 224), rtol=1e-6)


def test_a_strange_face_is_found_among_the_same_subjects_others() -> None:
    rng = np.random.default_rng(3)
    people = {"a": random_shape(5), "b": random_shape(6)}
    named, subjects = {}, {}
    for person, shape in people.items():
        for index in range(5):
            named[f"{person}{index}"] = shape + rng.normal(0, 0.3, 68) + 1j * rng.normal(0, 0.3, 68)
            subjects[f"{person}{index}"] = person
    named["a2"] = random_shape(7)
    named["alone"], subjects["alone"] = random_shape(8), "c"
    found = shapes.strangeness(named, subjects)
    assert set(found) == set(named) - {"alone"}
    assert max(found, key=lambda sample: found[sample]) == "a2"
    assert found["a2"] > 20
    assert max(value for sample, value in found.items() if sample != "a2") < 1
