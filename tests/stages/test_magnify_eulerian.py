import numpy as np

from mepipe.clip import Clip
from mepipe.ops import eulerian
from mepipe.stages.magnify_eulerian import MagnifyEulerianParams, compute


def test_gains_chroma_and_direction_reach_the_filter() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
    clip = Clip(frames, np.arange(6.0), 100.0, 0, None, 5)
    given = MagnifyEulerianParams(alpha=5, gains=(0.0, 1.0, 0.5), chroma=0.25, causal=True)
    expected = eulerian.magnify(frames / np.float32(255), 100, alpha=5, gains=[0.0, 1.0, 0.5], chroma=0.25, causal=True)
    np.testing.assert_array_equal(compute(clip, given).frames, expected)


def test_gains_are_written_with_commas_on_the_command_line() -> None:
    assert MagnifyEulerianParams.model_validate({"gains": "1, 0.5,0"}).gains == (1.0, 0.5, 0.0)
