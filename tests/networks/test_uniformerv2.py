"""UniFormerV2 against the public network's outputs, and what follows from how it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mepipe import networks
from mepipe.networks import uniformerv2
from mepipe.networks.uniformerv2 import Encoder, Size, UniFormerV2
from tests.networks import reference

NAME, GOLDEN = "uniformerv2_b16_ssv2_16x224", "uniformerv2_b16_ssv2"
TINY = Size(width=32, layers=3, heads=4, side=32, patch=8, extractors=2, local=16)


def golden_clip() -> Tensor:
    return reference.blocky(reference.golden(GOLDEN)["low_res_clip"], mean=0.45, std=0.225)


def tiny(seed: int = 0, fresh: bool = False, **changes: object) -> UniFormerV2:
    torch.manual_seed(seed)
    net = UniFormerV2(5, dataclasses.replace(TINY, **changes)).eval()
    if not fresh:  # so that nothing is zero
        net.load_state_dict(reference.filled(reference.shapes(net), gain=1.0))
    return net


def clips(batch: int = 2, frames: int = 8) -> Tensor:
    return torch.randn(batch, 3, frames, 32, 32, generator=torch.Generator().manual_seed(1))


def test_keys_and_shapes_are_the_public_ones() -> None:
    with torch.device("meta"):
        net = networks.build(NAME)
    assert list(reference.shapes(net).items()) == reference.keys(NAME)


@torch.inference_mode()
def test_tokens_and_first_block_give_what_the_public_network_gives() -> None:
    known = reference.golden(GOLDEN)
    with torch.device("meta"):
        net = Encoder(Size(layers=1, extractors=0))
    net.load_state_dict(reference.filled(reference.shapes(net), gain=1.0, volumes=0.7), assign=True)
    block, branch = net.eval().transformer.resblocks[0], []
    block.lmhra1.register_forward_hook(lambda module, inputs, output: branch.append(output))
    tokens = net.tokens(golden_clip())
    found = block(tokens)[0].transpose(0, 1)
    # Tolerances of ../shared/reference, section 8: ten times what threads and oneDNN change.
    np.testing.assert_allclose(tokens[0, 0, ::28, ::4], known["ln_pre_frame0_tokens"], atol=1.5e-4)
    np.testing.assert_allclose(branch[0][0, ::8, :, ::5, ::5], known["resblock0_lmhra1"], atol=1.5e-4)
    np.testing.assert_allclose(found[::28, :, ::8], known["resblock0_tokens"], atol=1.5e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_a_public_file_gives_what_the_public_network_gives(tmp_path) -> None:
    known, got = reference.golden(GOLDEN), {}
    state = reference.filled(dict(reference.keys(NAME)), gain=1.0, volumes=0.7)
    assert reference.digest(state).startswith("20ffcf8c7017a5ae")
    torch.save({"epoch": 1, "model_state": {f"backbone.{key}": value for key, value in state.items()}}, tmp_path / "a")
    net = networks.load(NAME, tmp_path / "a")

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, inputs, output: got.__setitem__(name, output)

    transformer = net.transformer
    for i in (3, 4, 11):
        transformer.resblocks[i].register_forward_hook(keep(f"resblock{i}_tokens"))
    for i, extractor in enumerate(transformer.dec):
        extractor.register_forward_hook(keep(f"extractor{i}"))
    transformer.dpe[0].register_forward_hook(keep("dpe0"))
    fused, _ = net.encode(golden_clip())
    for i, tolerance in ((3, 1.5e-4), (4, 1.5e-4), (11, 4e-4)):  # those of section 8
        found = got[f"resblock{i}_tokens"][0].transpose(0, 1)[::28, :, ::8]
        np.testing.assert_allclose(found, known[f"resblock{i}_tokens"], atol=tolerance)
    np.testing.assert_allclose(got["dpe0"][0, ::8, :, ::5, ::5], known["dpe0"], atol=1.5e-4)
    found = torch.stack([got[f"extractor{i}"][0, 0] for i in range(8)])
    np.testing.assert_allclose(found, known["class_token_after_each_extractor"], atol=1.5e-4)
    np.testing.assert_allclose(fused[0], known["fused_feature"], atol=1.5e-4)
    np.testing.assert_allclose(transformer.proj(fused)[0], known["logits"], atol=5e-5)


@torch.inference_mode()
def test_before_it_learns_each_step_is_seen_by_itself_as_by_clip() -> None:
    net, clip = tiny(fresh=True), clips()
    changed = clip.clone()
    changed[:, :, 6:] += 1  # frames 5 to 7 are the fourth step, frames 3 to 5 the third
    before, after = (net.encode(x)[1] for x in (clip, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3], atol=0, rtol=0)
    assert not torch.allclose(before[:, 3], after[:, 3])


@torch.inference_mode()
def test_local_blocks_reach_one_step_further_each() -> None:
    net = tiny(layers=1, extractors=1)  # one block: two local ones
    tokens = torch.randn(1, 6, 17, 32, generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[:, 0] += 1
    block = net.transformer.resblocks[0]
    moved = (block(tokens) - block(changed)).abs().amax(dim=(0, 2, 3)) > 0
    assert moved.tolist() == [True, True, True, False, False, False]


@torch.inference_mode()
def test_class_tokens_of_steps_do_not_enter_the_local_blocks() -> None:
    block = tiny().transformer.resblocks[0]
    tokens = torch.randn(1, 4, 17, 32, generator=torch.Generator().manual_seed(2))
    changed = tokens.clone()
    changed[:, 1, 0] += 1
    moved = uniformerv2.as_volume(changed) - uniformerv2.as_volume(tokens)
    assert not moved.any()
    # and so what they change in another step could only come by attention, which stays within a step
    assert not (block(tokens) - block(changed))[:, 3].any()


def test_a_volume_is_taken_from_the_tokens_and_put_back_in_place() -> None:
    tokens = torch.randn(2, 4, 10, 6, generator=torch.Generator().manual_seed(2))
    volume = uniformerv2.as_volume(tokens)
    assert torch.equal(volume[1, 5, 2, 1, 2], tokens[1, 2, 1 + 3 + 2, 5])  # row 1, column 2 of 3 x 3
    doubled = uniformerv2.add_to_patches(tokens, volume)
    assert torch.equal(doubled[:, :, 1:], 2 * tokens[:, :, 1:])
    assert torch.equal(doubled[:, :, 0], tokens[:, :, 0])


def test_the_balance_weighs_clip_token_against_class_tokens() -> None:
    net = tiny()
    with torch.inference_mode():
        net.transformer.balance.fill_(40)  # a sigmoid of 1
        fused, tokens = net.encode(clips())
        torch.testing.assert_close(fused, tokens[:, :, 0].mean(dim=1))
        net.transformer.balance.fill_(-40)
        assert not torch.allclose(net.encode(clips())[0], fused)


@torch.inference_mode()
def test_clips_kernel_is_inflated_to_the_middle_frame_of_a_step() -> None:
    flat = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    clip = clips()
    state = {f"visual.{key}": flat for key in ("conv1.weight", "proj", "ln_post.weight")} | {"logit_scale": flat}
    kernel = uniformerv2.inflated(state)
    assert set(kernel) == {"conv1.weight"}
    found = F.conv3d(clip, kernel["conv1.weight"], stride=(2, 8, 8), padding=(1, 0, 0))
    for step in range(4):
        torch.testing.assert_close(found[:, :, step], F.conv2d(clip[:, :, 2 * step], flat, stride=8))


def test_drop_path_drops_whole_clips_and_keeps_the_mean() -> None:
    drop, x = uniformerv2.DropPath(0.25), torch.ones(4000, 2, 3)
    torch.manual_seed(0)
    dropped = drop.train()(x)
    assert sorted(dropped.unique().tolist()) == [0.0, pytest.approx(4 / 3)]
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)  # three standard errors: 3 * sqrt(1/3 / 4000)
    assert drop.eval()(x) is x


def test_every_parameter_learns() -> None:
    net = tiny(drop_path=(0.0, 0.0), dropout=0.0).train()
    net(clips()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
