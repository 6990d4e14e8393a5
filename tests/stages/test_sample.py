from __future__ import annotations

import numpy as np
import pytest

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.recipe.model import load
from mepipe.recipe.resolve import resolve
from mepipe.stages.declare import Annotation
from mepipe.stages.sample import STAGE, SampleParams

FIRST = 100


def clip(frames: int, apex: int | None = None) -> Clip:
    """Frames whose grey level is their number in the recording."""
    number = np.arange(FIRST, FIRST + frames, dtype=np.float64)
    pictures = np.broadcast_to(number[:, None, None, None], (frames, 2, 2, 1)).astype(np.float32)
    return Clip(pictures, number, 200.0, FIRST, apex, FIRST + frames - 1)


def chosen(frames: int, apex: int | None = None, **params: object) -> list[int]:
    """The numbers of the frames that are chosen, which the declared timeline must foretell."""
    given, options = clip(frames, apex), SampleParams.model_validate(params)
    found = STAGE.compute(given, options)
    assert STAGE.timeline is not None
    foretold = STAGE.timeline(options, Annotation(FIRST, apex, FIRST + frames - 1, 200.0), given.position)
    np.testing.assert_array_equal(found.position, foretold)
    np.testing.assert_array_equal(found.frames[:, 0, 0, 0], found.position)
    return [int(n) for n in found.position]


def test_the_onset_comes_first_then_the_middle_of_what_follows_it() -> None:
    assert chosen(61, strategy="middle", count=4, onset=True) == [100, 129, 130, 131, 132]


@pytest.mark.parametrize("strategy", ["middle", "apex-window", "full", "random", "uniform"])
@pytest.mark.parametrize("frames", [2, 9, 17, 18, 70])
def test_an_instance_is_never_the_onset_itself_nor_twice_the_same(strategy: str, frames: int) -> None:
    for apex in (FIRST, FIRST + frames // 2, FIRST + frames - 1):
        found = chosen(frames, apex, strategy=strategy, count=16, onset=True)
        assert found[0] == FIRST
        assert np.all(np.diff(found) > 0)
        assert len(found) - 1 == (frames - 1 if strategy == "full" else min(16, frames - 1))


def test_uniform_reaches_from_the_frame_after_the_onset_to_the_offset() -> None:
    assert chosen(32, strategy="uniform", count=4, onset=True) == [100, 101, 111, 121, 131]


def test_the_apex_window_holds_the_apex() -> None:
    assert chosen(60, 110, strategy="apex-window", count=4, onset=True) == [100, 108, 109, 110, 111]


def test_strategies_that_begin_with_the_onset_stay_as_they_are() -> None:
    for strategy in ("onset-apex", "key-frame"):
        with_onset = chosen(40, 120, strategy=strategy, count=5, onset=True)
        assert with_onset == chosen(40, 120, strategy=strategy, count=5)


def test_a_random_choice_is_a_clips_own_and_the_same_again() -> None:
    once, again, longer = (chosen(n, strategy="random", count=8, onset=True) for n in (70, 70, 71))
    assert once == again
    assert [n for n in longer if n < 170] != once
    assert len(set(chosen(70, strategy="random", count=8))) == 8


def test_a_clip_of_one_frame_says_so() -> None:
    with pytest.raises(SampleError, match="nothing follows the onset, frame 100"):
        chosen(1, strategy="middle", onset=True)


def test_a_parameter_that_is_off_leaves_keys_as_they_were_before_there_was_one() -> None:
    assert SampleParams().model_dump(mode="json") == {"strategy": "uniform", "count": 16, "denoise": False}
    assert SampleParams(onset=True).model_dump(mode="json")["onset"] is True
    found = resolve(load("ra-icl"))
    assert found["instances"].lineage["upstream"]["upstream"]["params"]["onset"] is True


def test_ra_icls_single_map_is_the_motion_map_of_all_features() -> None:
    assert resolve(load("ra-icl-strategies"))["motion-map"].key == resolve(load("features"))["motion-map"].key
