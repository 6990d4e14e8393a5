"""What MagNet is trained on, where it starts from, and that training goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mepipe.networks import magnet_data, magnet_quality, magnet_train
from mepipe.networks.muon import orthogonal

SMALL = magnet_train.Plan(steps=4, batch=1, size=24)


@pytest.fixture(scope="module")
def textures() -> Tensor:
    return magnet_data.tiles(("brick.png",), patterns=4)


def drawn(textures: Tensor, seed: int, count: int = 16, size: int = 32) -> magnet_data.Pairs:
    return magnet_data.draw(textures, count, size, torch.Generator().manual_seed(seed))


def test_a_seed_draws_the_same_pairs_and_another_others(textures: Tensor) -> None:
    one, again, other = (drawn(textures, seed).target for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_frames_are_in_range_and_mostly_differ_more_after_magnification(textures: Tensor) -> None:
    pairs = drawn(textures, 3, count=48)
    for frames in (pairs.a, pairs.b, pairs.recoloured, pairs.target):
        assert frames.shape == (48, 3, 32, 32)
        assert float(frames.abs().max()) <= 1
    assert 0.5 <= float(pairs.amplification.min()) < 1.5
    assert 8 < float(pairs.amplification.max()) <= 11


def test_the_target_is_the_scene_moved_by_one_plus_the_amplification(textures: Tensor) -> None:
    """Every layer: a point p of the onset is seen at p + factor displacement(p)."""
    scene = magnet_data._Scene(textures, 8, 48, torch.Generator().manual_seed(4))
    factor = 1 + scene.amplification
    for layer in scene.layers:
        came_from = layer.origin(scene.grid, factor.view(-1, 1, 1, 1))
        seen_at = came_from + factor.view(-1, 1, 1, 1) * layer.displacement(came_from)
        # Four rounds of the iteration leave a few hundredths of a pixel where 10 px are magnified motion.
        assert float((seen_at - scene.grid).abs().max()) < 0.1
    moved = (scene.frame(factor) - scene.frame(torch.ones(8))).abs().mean(dim=(1, 2, 3))
    assert (moved[scene.swing > 0] > 0).all()


def test_what_is_measured_on_was_never_trained_on() -> None:
    files = {Path(file).name for _, file, *_ in (magnet_quality._PARTS[name] for name in magnet_quality.HELD_OUT)}
    assert not files & set(magnet_data.TRAINING)


def test_training_starts_as_linear_magnification(textures: Tensor) -> None:
    """Of smooth frames, which two layers of convolutions can draw from half the resolution to a part in a hundred."""
    net = magnet_train.started(0)
    axis = torch.linspace(0, 3, 48)
    a = 0.5 * torch.sin(axis[:, None] + torch.tensor([0.0, 1.0, 2.0])[:, None, None]) * torch.cos(axis)
    b = 0.5 * torch.sin(axis[:, None] + torch.tensor([0.0, 1.0, 2.0])[:, None, None] + 0.05) * torch.cos(axis)
    inner = np.s_[..., 8:-8, 8:-8]
    with torch.inference_mode():
        for amplification in (0.0, 3.0):
            found = net(a[None], b[None], amplification)[0]
            torch.testing.assert_close(found[inner], (b + amplification * (b - a))[inner], atol=0.02, rtol=0)


def test_an_orthogonal_step_moves_all_directions_alike() -> None:
    """The five rounds of Muon's iteration bring singular values to within 0.7 and 1.2, not to 1."""
    torch.manual_seed(0)
    for shape in ((8, 40), (40, 8), (3, 3)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert float(values.min()) > 0.6
        assert float(values.max()) < 1.3


def test_a_run_that_was_stopped_ends_with_the_same_weights(
    tmp_path: Path, textures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(magnet_data, "training_tiles", lambda: textures)
    monkeypatch.setattr(magnet_train, "_KEEP", 0.0)  # a checkpoint after each step
    whole, _ = magnet_train.train(SMALL, tmp_path / "whole.pt")
    monkeypatch.setattr(magnet_data, "draw", _stopping(magnet_data.draw, calls=2))
    with pytest.raises(KeyboardInterrupt):
        magnet_train.train(SMALL, tmp_path / "cut.pt")
    again, steps = magnet_train.train(SMALL, tmp_path / "cut.pt", resume=True)
    assert steps == SMALL.steps
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name


def _stopping(draw: Callable[..., magnet_data.Pairs], calls: int) -> Callable[..., magnet_data.Pairs]:
    """Interrupted once, after so many calls."""
    left = [calls]

    def drawing(*given: object) -> magnet_data.Pairs:
        left[0] -= 1
        if left[0] == -1:
            raise KeyboardInterrupt
        return draw(*given)

    return drawing
