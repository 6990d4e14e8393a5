"""What of a feature is shown, and in what colours."""

from __future__ import annotations

import numpy as np
import pytest

from mepipe.view.look import LEAST_FLOW, Panel, panels

FLOW = Panel("flow.tvl1", "flow", "", "px", 0.0)
PARTS = Panel("map", "flow", "flow", "px", 0.0), Panel("map", "strain", "strain", "", 0.0)


class Described:
    """A feature as far as it is asked for here: the real one is tested with a store in tests/view/server."""

    def __init__(self, shape, dims, units, dtype=np.float32, stage="strain"):
        self.shape, self.dims, self.dtype = shape, dims, np.dtype(dtype)
        self.attributes = {"units": units, "stage": stage}


def test_what_is_no_picture_has_no_panel():
    found = panels(
        {
            "landmarks": Described((2, 478, 2), ("sample", "point", "channel"), "px"),
            "clip": Described((2, 512), ("sample", "channel"), ""),
            "frames": Described((2, 16, 8, 8, 3), ("sample", "frame", "y", "x", "channel"), "grey level, 0..255", "u1"),
            "flow": Described((2, 16, 2, 8, 8), ("sample", "frame", "channel", "y", "x"), "px"),
            "map": Described((2, 3, 8, 8), ("sample", "channel", "y", "x"), "px, px, 1"),
            "strain": Described((2, 16, 8, 8), ("sample", "frame", "y", "x"), "1"),
            "shear": Described((2, 16, 8, 8), ("sample", "frame", "y", "x"), "1", stage="a laboratory's own"),
        }
    )
    assert [(p.name, p.kind) for p in found] == [
        ("frames", "picture"),
        ("flow", "flow"),
        ("map (flow)", "flow"),
        ("map (strain)", "strain"),
        ("strain", "strain"),
        ("shear", "strain"),
    ]
    assert [p.signed for p in found][-2:] == [False, True]
    assert [p.slug for p in found][2:4] == ["map.flow", "map.strain"]


def test_pictures_keep_their_greys_whatever_they_are_stored_as():
    grey = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3) * 10
    as_bytes, as_floats = Panel("a", "picture", "", "", 255.0), Panel("b", "picture", "", "", 1.0)
    np.testing.assert_array_equal(as_bytes.rgb(grey, as_bytes.scale([grey])), grey)
    np.testing.assert_array_equal(as_floats.rgb((grey / 255).astype(np.float16), 1.0), grey)
    np.testing.assert_array_equal(as_floats.rgb(np.full((1, 1, 1, 3), 1.4, np.float32), 1.0), 255)


def test_one_scale_holds_for_all_that_is_compared():
    small, large = np.full((1, 2, 4, 4), 0.1, np.float32), np.full((1, 2, 4, 4), 3.0, np.float32)
    assert FLOW.scale([small]) == LEAST_FLOW
    assert FLOW.scale([small, large]) == FLOW.scale([large]) == pytest.approx(3.0)


def test_a_map_is_shown_as_its_flow_and_as_its_strain():
    array = np.zeros((1, 3, 4, 4), np.float16)
    array[:, 0] = 1.0  # to the right: red
    array[:, 2] = 0.5
    flow, strain = PARTS
    np.testing.assert_array_equal(flow.rgb(array, 1.0)[0, 0, 0], (255, 0, 0))
    assert flow.values(array).shape == (1, 2, 4, 4)
    np.testing.assert_array_equal(strain.values(array), np.full((1, 4, 4), 0.5))
    assert strain.values(array[0]).shape == (1, 4, 4)


def test_nothing_is_white_of_flow_black_of_strain_and_white_of_strain_with_a_sign():
    strain = Panel("strain", "strain", "", "", 0.0)
    assert FLOW.rgb(np.zeros((1, 2, 2, 2), np.float32), 1.0).min() == 255
    assert strain.rgb(np.zeros((1, 2, 2), np.float32), 1.0).max() < 5
    other = Panel("shear", "strain", "", "", 0.0, signed=True)
    signed = other.rgb(np.array([[[-1.0, 0.0, 1.0]]], np.float32), 1.0)[0, 0]
    np.testing.assert_array_equal(other.key(1.0)[0, [0, -1]], signed[[0, 2]])
    assert signed[1].min() > 240
    assert signed[0, 2] > signed[0, 0]  # blue below
    assert signed[2, 0] > signed[2, 2]  # red above


def test_the_key_has_the_colours_of_the_values_it_stands_for():
    wheel = FLOW.key(2.0, size=101)
    np.testing.assert_array_equal(wheel[50, 75], FLOW.rgb(np.array([[[[1.0]], [[0.0]]]], np.float32), 2.0)[0, 0, 0])
    strain = Panel("strain", "strain", "", "", 0.0)
    np.testing.assert_array_equal(strain.key(0.3)[0, -1], strain.rgb(np.full((1, 1, 1), 0.3, np.float32), 0.3)[0, 0, 0])
