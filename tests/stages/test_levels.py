"""Stages take frames in 0..255 and, after magnification, in 0..1, and know which they have."""

from __future__ import annotations

import numpy as np
import pytest

from mepipe.clip import Clip
from mepipe.stages import flow, magnify_eulerian, magnify_learned, magnify_phase


def moving() -> Clip:
    """Blobs that drift to the right by half a pixel a frame, greys 0..255."""
    y, x = np.mgrid[0:48, 0:48].astype(np.float32)
    frames = [127 + 60 * np.sin((x - 0.5 * t) / 4) * np.cos(y / 5) for t in range(6)]
    stacked = np.stack(frames)[..., None].repeat(3, axis=-1).astype(np.float32)
    return Clip(stacked, np.arange(6.0), 30.0, 0, 3, 5)


def whitened(clip: Clip) -> Clip:
    return clip.with_frames(clip.frames / np.float32(255), white=1.0)


def test_flow_does_not_depend_on_what_white_is() -> None:
    given, params = moving(), flow.FlowParams(mode="exact")
    found = flow.compute(whitened(given), params)
    assert 0.4 < np.median(found[0, 0]) < 0.6, "the motion is there at all"
    # a grey's rounding counts for little, save where a stopping rule is met an iteration sooner: see ops.tvl1
    assert np.abs(found - flow.compute(given, params)).mean() < 0.006


@pytest.mark.parametrize(
    ("stage", "params"),
    [
        (magnify_eulerian, magnify_eulerian.MagnifyEulerianParams()),
        (magnify_phase, magnify_phase.MagnifyPhaseParams()),
        (magnify_learned, magnify_learned.MagnifyLearnedParams()),
    ],
)
def test_magnified_frames_are_in_0_to_1_and_say_so(stage, params) -> None:
    if stage is magnify_learned:
        pytest.importorskip("torch")
    given = moving()
    found = stage.compute(given, params)
    assert found.white == 1
    assert 0.3 < found.frames.mean() < 0.7
    assert found.levels().mean() == pytest.approx(255 * found.frames.mean(), rel=1e-4)
    np.testing.assert_allclose(stage.compute(whitened(given), params).frames, found.frames, atol=1e-3)
