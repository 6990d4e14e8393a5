from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mepipe.errors import SampleError
from mepipe.recipe.model import load
from mepipe.recipe.resolve import resolve
from mepipe.stages.spot_apex import STAGE, SpotApexParams
from tests.stages.test_stages import run


def compute(clip):
    return STAGE.compute(clip, SpotApexParams())


def test_the_annotated_apex_has_no_say():
    clip = run("align")
    expected = run("spot-apex")
    for annotated in (None, clip.onset, clip.offset):
        np.testing.assert_array_equal(compute(replace(clip, apex=annotated)), expected)
    # Nor does its correction cost anything: the fingerprint of a sample does not hold it.
    assert resolve(load("spot"))["apex"].reads == ("fps", "offset", "onset")


def test_the_frame_is_named_by_its_number_exactly():
    clip, expected = run("align"), run("spot-apex")
    assert abs(expected[0] - clip.apex) <= 2  # as asked of the median, at 200 fps
    far = 2.0**24 + 1  # which float32 cannot hold; SMIC's numbers go as far
    moved = compute(replace(clip, position=clip.position + far))
    np.testing.assert_array_equal(moved, expected + np.array([far, 0, 0]))


def test_a_clip_without_landmarks_says_where_to_get_them():
    with pytest.raises(SampleError, match="output of align"):
        compute(replace(run("align"), landmarks=None))
