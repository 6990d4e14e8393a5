"""FlowNet 2.0: its operators against closed forms and goldens, its networks against the public one's outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mepipe import networks
from mepipe.errors import UsageError
from mepipe.networks.flownet2 import normalised
from mepipe.networks.flownet_parts import FlowNetC, FlowNetS, FlowNetSD, channel_norm, correlation, warp
from tests.networks import reference

NAMES = ("flownet2", "flownet2c", "flownet2s", "flownet2sd", "flownet2cs", "flownet2css")


def sub_network(module: nn.Module, prefix: str) -> nn.Module:
    """A sub-network with the weights that it has in the filled FlowNet2."""
    whole = reference.filled({f"{prefix}.{key}": shape for key, shape in reference.shapes(module).items()}, gain=1.4)
    module.load_state_dict({key.removeprefix(f"{prefix}."): tensor for key, tensor in whole.items()})
    return module.eval()


def golden_images() -> torch.Tensor:
    known = reference.golden("flownet2")
    return torch.from_numpy(np.stack([known["image1"], known["image2"]])).permute(3, 0, 1, 2)[None].float()


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_shapes_are_the_public_ones(name: str) -> None:
    with torch.device("meta"):
        module = networks.build(name)
    assert list(reference.shapes(module).items()) == reference.keys(name)


def test_an_unknown_network_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'flownet2css'"):
        networks.build("flownet2cssd")


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (-6, 4), (20, -20)])
def test_correlation_peaks_at_the_shift_and_is_the_mean_of_products(dx: int, dy: int) -> None:
    rng = np.random.default_rng(1)
    second = torch.from_numpy(rng.standard_normal((1, 64, 48, 50)).astype(np.float32))
    first = second.roll((-dy, -dx), (2, 3))  # first[y, x] = second[y + dy, x + dx]
    found = correlation(first, second)
    channel = (dy // 2 + 10) * 21 + dx // 2 + 10
    inner = found[0, :, 20:-20, 20:-20]
    assert (inner.argmax(dim=0) == channel).all()
    torch.testing.assert_close(inner[channel], first[0, :, 20:-20, 20:-20].square().mean(dim=0))


def test_correlation_is_zero_where_the_displacement_leaves_the_image() -> None:
    ones = torch.ones(2, 3, 24, 30)
    found = correlation(ones, ones).reshape(2, 21, 21, 24, 30)
    y, x = torch.arange(24), torch.arange(30)
    for j, i in [(-10, -10), (-3, 5), (0, 0), (10, 1)]:
        inside = ((y + 2 * j >= 0) & (y + 2 * j < 24))[:, None] & ((x + 2 * i >= 0) & (x + 2 * i < 30))
        torch.testing.assert_close(found[:, j + 10, i + 10], inside.float().expand(2, -1, -1))


def test_warping_by_a_known_shift_moves_the_image_and_continues_its_border() -> None:
    image = torch.from_numpy(np.random.default_rng(2).random((1, 2, 12, 15))).float()
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 12, 15)
    rows, columns = (torch.arange(12) - 2).clamp(0, 11), (torch.arange(15) + 3).clamp(0, 14)
    torch.testing.assert_close(warp(image, flow), image[:, :, rows][..., columns])


def test_warping_is_exact_between_pixels_of_a_plane() -> None:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(16.0), indexing="ij")
    plane = (3 * x - 2 * y)[None, None]
    flow = torch.from_numpy(np.random.default_rng(3).uniform(-0.9, 0.9, (1, 2, 20, 16))).float()
    expected = plane + 3 * flow[:, :1] - 2 * flow[:, 1:]
    torch.testing.assert_close(warp(plane, flow)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4, rtol=0)


def test_operators_agree_with_the_public_ones() -> None:
    known = {key: torch.from_numpy(value) for key, value in reference.golden("flownet2_ops").items() if value.ndim}
    found = {
        "corr_out": correlation(known["corr_in1"], known["corr_in2"]),
        "warp_out": warp(known["warp_image"], known["warp_flow"]),
        "channelnorm_out": channel_norm(known["channelnorm_in"]),
    }
    for name, value in found.items():
        torch.testing.assert_close(value, known[name], atol=2e-5, rtol=0)  # reference README, section 8


def test_images_lose_their_common_mean_colour_and_become_fractions() -> None:
    pair = torch.from_numpy(np.random.default_rng(4).uniform(0, 255, (2, 3, 2, 64, 128))).float()
    found = normalised(pair).reshape(2, 2, 3, 64, 128)
    torch.testing.assert_close(found.mean(dim=(1, 3, 4)), torch.zeros(2, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 1] - found[:, 0], (pair[:, :, 1] - pair[:, :, 0]) / 255)


@pytest.mark.parametrize("shape", [(1, 3, 2, 64, 100), (1, 2, 3, 64, 64), (3, 2, 64, 64)])
def test_a_pair_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 64"):
        normalised(torch.zeros(shape))


def test_negative_correlations_are_damped_before_they_are_used() -> None:
    rng = np.random.default_rng(5)
    first, second = torch.from_numpy(rng.standard_normal((2, 1, 256, 8, 8))).float()
    module, features, seen = FlowNetC().eval(), [second, first], []
    module.conv3.register_forward_hook(lambda _, given, out: features.pop())  # features of both signs, in their place
    module.conv3_1.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    with torch.inference_mode():
        module(torch.zeros(1, 6, 64, 64))
    raw = correlation(first, second)
    assert (raw < 0).any()
    torch.testing.assert_close(seen[0][:, 32:], torch.where(raw < 0, 0.1 * raw, raw))


@pytest.mark.parametrize(
    ("prefix", "make", "channels"),
    [("flownetc", FlowNetC, 6), ("flownets_d", FlowNetSD, 6), ("flownets_1", lambda: FlowNetS(12), 12)],
)
def test_sub_networks_agree_with_the_public_ones(prefix: str, make, channels: int) -> None:
    """Fed with the golden's own images; S with what it sees there, rebuilt from the golden's flow and warp."""
    known = reference.golden("flownet2")
    given = normalised(golden_images())
    if channels == 12:
        flow = F.interpolate(torch.from_numpy(known["flownetc_flow2"])[None] * 20, scale_factor=4, mode="bilinear")
        warped = torch.from_numpy(known["warped_by_flownetc"])[None]
        torch.testing.assert_close(warp(given[:, 3:], flow), warped, atol=5e-5, rtol=0)
        given = torch.cat([given, warped, flow / 20, channel_norm(given[:, :3] - warped)], dim=1)
    with torch.inference_mode():
        found = sub_network(make(), prefix)(given)[0]
    np.testing.assert_allclose(found, known[f"{prefix}_flow2"], atol=3e-5, rtol=0)  # reference README, section 8


@pytest.mark.parametrize("name", ["flownet2c", "flownet2s", "flownet2sd"])
def test_alone_a_network_gives_its_quarter_size_flow_times_20_enlarged(name: str) -> None:
    module = networks.build(name)
    pair = torch.from_numpy(np.random.default_rng(6).uniform(0, 255, (1, 3, 2, 64, 64))).float()
    within: list[torch.Tensor] = []
    module.predict_flow2.register_forward_hook(lambda _, given, out: within.append(out))
    with torch.inference_mode():
        found = module(pair)
    torch.testing.assert_close(found, F.interpolate(within[0] * 20, (64, 64), mode="bilinear", align_corners=False))


@pytest.mark.slow
def test_the_whole_agrees_with_the_public_network_and_its_parts_with_the_whole() -> None:
    known = reference.golden("flownet2")
    with torch.device("meta"):
        module = networks.build("flownet2")
    state = reference.filled(reference.shapes(module), gain=1.4)
    assert reference.digest(state) == "ce92cbf7f64e1d6e316f18e1de2571f37474d7f9df7fead8e4975b27344fa598"
    module.load_state_dict(state, assign=True)
    met: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, part in module.named_children():
        part.register_forward_hook(lambda _, given, out, name=name: met.__setitem__(name, (given[0][0], out[0])))
    with torch.inference_mode():
        found = module(golden_images())[0]
    for name in ("flownetc", "flownets_1", "flownets_2", "flownets_d"):
        np.testing.assert_allclose(met[name][1], known[f"{name}_flow2"], atol=3e-5, rtol=0)
    np.testing.assert_allclose(met["flownets_1"][0][6:9], known["warped_by_flownetc"], atol=5e-5, rtol=0)
    np.testing.assert_allclose(met["flownetfusion"][0], known["fusion_input"], atol=5e-4, rtol=0)
    np.testing.assert_allclose(found, known["fusion_flow"], atol=1e-3, rtol=0)

    for name, last, mode in (("flownet2cs", "flownets_1", "bilinear"), ("flownet2css", "flownets_2", "nearest")):
        with torch.device("meta"):
            part = networks.build(name)
        part.load_state_dict({key: state[key] for key in part.state_dict()}, assign=True)
        with torch.inference_mode():
            flow = part(golden_images())
        quarter = torch.from_numpy(known[f"{last}_flow2"])[None] * 20
        expected = F.interpolate(quarter, scale_factor=4, mode=mode)
        torch.testing.assert_close(flow, expected, atol=6e-4, rtol=0)  # 20 times that of the quarter-size flow
