"""Learned magnification of clips: what each mode compares, and that motion grows as asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mepipe.clip import Clip
from mepipe.errors import SampleError
from mepipe.stages.magnify_learned import MagnifyLearnedParams, compute

torch = pytest.importorskip("torch")
from mepipe.networks.magnet_quality import Case  # noqa: E402

FACE = Case("hopper", "local", 0.5)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clip(*amounts: float, crop: tuple[int, int] = (64, 64)) -> Clip:
    """A face whose motion is so many times 0.5 px, greys 0..255."""
    frames = np.stack([FACE.frame(amount) for amount in amounts])[:, 24 : 24 + crop[0], 40 : 40 + crop[1]] * 255
    number = np.arange(len(amounts), dtype=float)
    return Clip(frames.astype(np.float32), number, 30.0, 0, None, len(amounts) - 1)


def magnified(given: Clip, **params: object) -> np.ndarray:
    return compute(given, MagnifyLearnedParams(**params)).frames


def test_frames_keep_size_and_are_greys_from_0_to_1() -> None:
    found = magnified(clip(0, 1, crop=(37, 50)), factor=10)
    assert found.shape == (2, 37, 50, 3)
    assert found.dtype == np.float32
    assert 0 <= found.min() <= found.max() <= 1


def test_bytes_and_floats_are_the_same_greys() -> None:
    given = clip(0, 1)
    whole = given.with_frames(given.frames.round())
    bytes_ = given.with_frames(whole.frames.astype(np.uint8))
    np.testing.assert_array_equal(magnified(whole), magnified(bytes_))


@pytest.mark.parametrize("mode", ["static", "dynamic", "temporal"])
def test_the_first_frame_and_a_still_clip_do_not_depend_on_the_factor(mode: str) -> None:
    still = clip(1, 1, 1)
    # The band-pass of what does not change is zero up to the rounding of its rows' sums.
    np.testing.assert_allclose(magnified(still, mode=mode, factor=20), magnified(still, mode=mode, factor=1), atol=1e-3)
    if mode != "temporal":
        moving = clip(0, 1)
        first = magnified(moving, mode=mode, factor=20)[0]
        np.testing.assert_array_equal(first, magnified(moving, mode=mode, factor=1)[0])


def test_dynamic_compares_with_the_frame_before_and_static_with_the_first() -> None:
    three = clip(0, 1, 2)
    pair = three.with_frames(three.frames[1:], three.position[1:])
    np.testing.assert_array_equal(magnified(three, mode="dynamic")[2], magnified(pair, mode="static")[1])
    ends = three.with_frames(three.frames[[0, 2]], three.position[[0, 2]])
    np.testing.assert_array_equal(magnified(three, mode="static")[2], magnified(ends, mode="static")[1])


def test_temporal_magnifies_what_its_band_passes() -> None:
    """Half a second's rise and fall, at 20 fps: within 0.4-4 Hz, and hardly anything of it within 7-9 Hz."""
    moving = clip(*np.sin(np.pi * np.arange(10) / 10) ** 2, crop=(32, 32))
    moving = replace(moving, fps=20.0)
    as_it_is = magnified(moving, factor=1)[5]

    def change(low: float, high: float) -> float:
        found = magnified(moving, mode="temporal", factor=4, low=low, high=high)[5]
        return float(np.abs(found - as_it_is).mean())

    assert change(0.4, 4) > 3 * change(7, 9)


def test_a_single_frame_is_refused() -> None:
    with pytest.raises(SampleError, match="at least 2 frames are needed, and there are 1"):
        compute(clip(0), MagnifyLearnedParams())
