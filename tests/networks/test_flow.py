"""Flow by a network: what the network is given, and what becomes of its answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.optical_flow import Raft_Small_Weights

from mepipe import networks
from mepipe.networks.flow import flow
from mepipe.networks.flownet2 import FlowNet2C
from tests.networks import reference


class Pixelwise(nn.Module):
    """Stands in for FlowNet 2.0 with a known answer: u is how much redder, v how much bluer the second image is."""

    def forward(self, pair: Tensor) -> Tensor:
        assert pair.shape[-2] % 64 == pair.shape[-1] % 64 == 0
        change = pair[:, :, 1] - pair[:, :, 0]
        return torch.stack([change[:, 0], change[:, 2]], dim=1)


def frames(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_frames_reach_the_network_in_rgb_and_in_order() -> None:
    clip = frames(3, 64, 128)
    found = flow(Pixelwise(), clip[0], clip[1:])
    change = (clip[1:].astype(np.float32) - clip[0])[..., [0, 2]].transpose(0, 3, 1, 2)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, change)


@given(height=st.integers(16, 200), width=st.integers(16, 200))
def test_resized_for_the_network_flow_comes_back_in_the_frames_size_and_pixels(height: int, width: int) -> None:
    dark = np.zeros((height, width, 3), np.float32)
    bright = np.broadcast_to(np.array([12, 0, 20], np.float32), dark.shape)
    found = flow(Pixelwise(), dark, bright[None])[0]
    larger = [-(-side // 64) * 64 for side in (height, width)]
    # 12 px of the enlarged width are fewer of the frame's own
    np.testing.assert_allclose(found[0], np.full((height, width), 12 * width / larger[1]), rtol=1e-5)
    np.testing.assert_allclose(found[1], np.full((height, width), 20 * height / larger[0]), rtol=1e-5)


class Columns(nn.Module):
    """Stands in for FlowNet 2.0: u is the number of the column. Keeps what it was given."""

    def forward(self, pair: Tensor) -> Tensor:
        self.given = pair
        columns = torch.arange(pair.shape[-1], dtype=torch.float32).expand(1, 1, *pair.shape[-2:])
        return torch.cat([columns, torch.zeros_like(columns)], dim=1)


def test_a_place_stays_where_it_is_through_resizing() -> None:
    """90 columns become 128: x is then at (x + 1/2) 128/90 - 1/2, as the edges of the two pictures coincide."""
    x = np.arange(90, dtype=np.float32)
    ramp = np.broadcast_to(x[:, None], (100, 90, 3))
    module = Columns()
    found = flow(module, ramp, ramp[None])[0, 0]
    inner = slice(2, -2)  # beyond the centres of the outermost pixels there is nothing to interpolate
    seen = (np.arange(128) + 0.5) * 90 / 128 - 0.5
    np.testing.assert_allclose(module.given[0, 0, 0, 50, inner], seen[inner], atol=1e-4)
    np.testing.assert_allclose(found[50, inner], (((x + 0.5) * 128 / 90 - 0.5) * 90 / 128)[inner], atol=1e-4)


def test_raft_is_given_what_torchvision_prepares() -> None:
    module = networks.build("raft_small")
    clip = frames(2, 128, 136, seed=1)
    prepare = Raft_Small_Weights.DEFAULT.transforms()
    first, second = prepare(*(torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in clip))
    with torch.inference_mode():
        expected = module(first, second)[-1][0]
    # the two ways to reach -1..1 differ by rounding; twelve refinements make that of a flow of 20 px about 1e-5
    np.testing.assert_allclose(flow(module, clip[0], clip[1:])[0], expected, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (150, 130)])
def test_raft_takes_any_size(height: int, width: int) -> None:
    clip = frames(2, height, width, seed=2)
    found = flow(networks.build("raft_small"), clip[0], clip[1:])
    assert found.shape == (1, 2, height, width)
    assert np.isfinite(found).all()


def test_flownet2c_gives_the_public_networks_flow() -> None:
    known = reference.golden("flownet2")
    module = FlowNet2C().eval()
    shapes = {f"flownetc.{key}": shape for key, shape in reference.shapes(module).items()}
    filled = reference.filled(shapes, gain=1.4)
    module.load_state_dict({key.removeprefix("flownetc."): tensor for key, tensor in filled.items()})
    found = flow(module, known["image1"], known["image2"][None])[0]
    quarter = torch.from_numpy(20 * known["flownetc_flow2"])[None]
    expected = F.interpolate(quarter, scale_factor=4, mode="bilinear")[0]
    np.testing.assert_allclose(found, expected, atol=20 * 3e-5)  # 20 times what the golden allows at quarter size


def test_many_targets_are_each_alone() -> None:
    clip = frames(3, 128, 128, seed=3)
    module = networks.build("raft_small")
    together = flow(module, clip[0], clip[1:])
    for index in range(2):
        np.testing.assert_array_equal(together[index], flow(module, clip[0], clip[index + 1 : index + 2])[0])
    assert flow(module, clip[0], clip[:0]).shape == (0, 2, 128, 128)


@pytest.mark.parametrize("name", ["flownet2s", "raft_small"])
def test_a_device_computes_many_pairs_at_once_and_each_as_if_alone(name: str) -> None:
    torch.manual_seed(0)
    module = networks.build(name)
    seen: list[int] = []
    module.register_forward_hook(lambda module, given, found: seen.append(len(given[0])))
    clip = frames(19, 128, 128)
    together = flow(module, clip[0], clip[1:], device="cpu:0")
    assert seen == [16, 2]
    alone = flow(module, clip[0], clip[[1, 17, 18]])
    np.testing.assert_allclose(together[[0, 16, 17]], alone, atol=1e-3)  # px, as sums in another order round


@pytest.mark.parametrize(
    ("reference_shape", "targets_shape"),
    [((64, 64), (1, 64, 64)), ((64, 64, 3), (64, 64, 3)), ((64, 64, 3), (1, 64, 80, 3)), ((64, 64, 1), (1, 64, 64, 1))],
)
def test_frames_of_other_shapes_are_refused(reference_shape: tuple, targets_shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"\[H, W, 3\]"):
        flow(Pixelwise(), np.zeros(reference_shape, np.uint8), np.zeros(targets_shape, np.uint8))
