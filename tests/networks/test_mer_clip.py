"""MER-CLIP's networks against the public ones' outputs, and the files that they read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mepipe import networks
from mepipe.errors import MepipeError
from mepipe.networks.clip_parts import TextEncoder
from mepipe.networks.mer_clip import MerClipHead, MerClipVision
from mepipe.networks.uniformerv2 import UniFormerV2
from tests.networks import reference
from tests.networks.test_uniformerv2 import TINY, clips

NAMES = ("mer_clip_vision", "mer_clip_head", "mer_clip_text")
MEAN, STD = np.array([123.675, 116.28, 103.53]) / 255, np.array([58.395, 57.12, 57.375]) / 255


def filled(name: str) -> nn.Module:
    with torch.device("meta"):
        net = networks.build(name)
    net.load_state_dict(reference.filled(dict(reference.keys(name)), gain=1.0, volumes=0.7), assign=True)
    return net


def tiny_vision(seed: int = 0) -> MerClipVision:
    torch.manual_seed(seed)
    return MerClipVision(TINY, embedding=24).eval()


def tiny_text() -> TextEncoder:
    net = TextEncoder(width=16, layers=2, heads=2, embedding=8, vocabulary=60).eval()
    net.load_state_dict(reference.filled(reference.shapes(net), gain=1.0))
    return net


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_shapes_are_the_public_ones(name: str) -> None:
    with torch.device("meta"):
        net = networks.build(name)
    assert list(reference.shapes(net).items()) == reference.keys(name)


@torch.inference_mode()
def test_text_gives_what_the_public_network_gives_with_32_positions_too() -> None:
    known, net = reference.golden("mer_clip"), filled("mer_clip_text")
    # Tolerances of ../shared/reference/mer_clip.md, section 7
    np.testing.assert_allclose(net(torch.from_numpy(known["tokens"])), known["text_features"], atol=5e-5)
    long = torch.from_numpy(known["long_tokens"])
    np.testing.assert_allclose(net(long)[0], known["long_text_features"], atol=5e-5)
    few = {**net.state_dict(), "positional_embedding": net.positional_embedding[:32].clone()}
    net.load_state_dict(net.accepted({f"text_encoder.{key}": value for key, value in few.items()}))
    assert net.positions == 32
    np.testing.assert_allclose(net(long)[0], known["long_text_features_pe32"], atol=5e-5)


@pytest.mark.slow
@torch.inference_mode()
def test_vision_and_head_give_what_the_public_networks_give() -> None:
    known, got = reference.golden("mer_clip"), {}
    vision, head = filled("mer_clip_vision"), filled("mer_clip_head")
    vision.transformer.norm.register_forward_hook(lambda module, inputs, output: got.__setitem__("fused", output))
    vision.to_cls_decoder.register_forward_hook(lambda module, inputs, output: got.__setitem__("encoder", inputs[0]))
    for i, block in enumerate(head.blocks):
        block.register_forward_hook(lambda module, inputs, output, i=i: got.__setitem__(i, output))
    embedding, tokens = vision(torch.cat([reference.blocky(low, MEAN, STD) for low in known["low_res_clip"]]))
    assert tokens.shape == (2, 1569, 512)
    scores = head.per_block(tokens)
    # Tolerances of ../shared/reference/mer_clip.md, section 7
    np.testing.assert_allclose(embedding, known["clip_embedding"], atol=1e-4)
    np.testing.assert_allclose(got["fused"][0], known["global_token_normed"], atol=1e-4)
    np.testing.assert_allclose(got["encoder"][0, ::49, ::12], known["encoder_tokens"], atol=4e-4)
    np.testing.assert_allclose(tokens[0, 0], known["head_input_token0"], atol=1e-4)
    np.testing.assert_allclose(tokens[0, ::49, ::8], known["head_input_tokens"], atol=1e-4)
    for i in range(2):
        np.testing.assert_allclose(got[i][0, 0], known[f"head_block{i}_token0"], atol=1e-4)
        np.testing.assert_allclose(got[i][0, ::49, ::8], known[f"head_block{i}_tokens"], atol=1e-4)
    np.testing.assert_allclose(scores[0], known["class_scores_per_block"], atol=3e-5)
    np.testing.assert_allclose(scores.mean(dim=1), known["class_scores"], atol=3e-5)


@torch.inference_mode()
def test_the_heads_input_is_the_fused_feature_and_then_patches_step_by_step() -> None:
    net = tiny_vision()
    fused, tokens = net.encode(clips())
    embedding, joined = net(clips())
    assert embedding.shape == (2, 24)
    assert joined.shape == (2, 1 + 4 * 16, 24)
    for step, patch in ((0, 0), (1, 0), (3, 7)):
        expected = net.ln_final(net.to_cls_decoder(tokens[:, step, 1 + patch]))
        torch.testing.assert_close(joined[:, 1 + step * 16 + patch], expected)
    torch.testing.assert_close(joined[:, 0], net.ln_final(net.to_cls_decoder(net.transformer.norm(fused))))


@torch.inference_mode()
def test_the_head_does_not_mind_the_order_of_patches_but_which_token_is_first() -> None:
    torch.manual_seed(0)
    head = MerClipHead(3, width=32).eval()
    head.load_state_dict(reference.filled(reference.shapes(head), gain=1.0))
    tokens = torch.randn(2, 9, 32)
    shuffled = tokens[:, [0, *(torch.randperm(8) + 1)]]
    torch.testing.assert_close(head(shuffled), head(tokens), atol=1e-5, rtol=1e-4)  # sums in another order
    assert not torch.allclose(head(tokens.flip(1)), head(tokens), atol=1e-2)


@torch.inference_mode()
def test_the_feature_is_that_of_the_last_token_and_what_follows_does_not_count() -> None:
    net = tiny_text()
    ids = torch.zeros(2, 77, dtype=torch.long)
    ids[0, :5], ids[1, :9] = torch.tensor([57, 3, 4, 5, 59]), torch.tensor([57, 9, 8, 7, 6, 5, 4, 3, 59])
    whole, garbage = net(ids), ids.clone()
    garbage[0, 20:] = 11
    torch.testing.assert_close(net(garbage), whole, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(net(ids[:, :9]), whole, atol=1e-6, rtol=1e-5)
    embedded = net.token_embedding(ids)
    torch.testing.assert_close(net.encode(embedded, torch.tensor([4, 8])), whole)


def whole_checkpoint(vision: nn.Module, text: nn.Module, head: nn.Module) -> dict[str, Tensor]:
    parts = {"vision_encoder": vision, "text_encoder": text, "cls_head": head}
    state = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    return state | {"logit_scale": torch.tensor(2.66)}


def test_each_network_takes_its_part_of_a_whole_checkpoint(tmp_path: Path) -> None:
    vision, text, head = tiny_vision(), tiny_text(), networks.build("mer_clip_head")
    state = whole_checkpoint(vision, text, head)
    for net in (vision, text):
        found = net.accepted(state)
        assert list(found) == list(net.state_dict())
    torch.save({"meta": {"epoch": 50}, "state_dict": state}, tmp_path / "a.pth")
    found = networks.load("mer_clip_head", tmp_path / "a.pth").state_dict()
    assert all(torch.equal(value, found[key]) for key, value in head.state_dict().items())


def test_the_text_half_comes_out_of_clips_own_file_as_well() -> None:
    net = tiny_text()
    clip = {**net.state_dict(), "visual.proj": torch.zeros(1), "logit_scale": torch.zeros(())}
    assert list(net.accepted(clip)) == list(net.state_dict())
    assert net.positions == 77


def test_training_begins_with_uniformers_weights_but_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(1)
    public = UniFormerV2(174, TINY)
    torch.save({"model_state": {f"backbone.{k}": v for k, v in public.state_dict().items()}}, tmp_path / "ssv2.pyth")
    net, drawn = tiny_vision(), tiny_vision().state_dict()
    net.begin(tmp_path / "ssv2.pyth")
    for key, value in net.state_dict().items():
        taken = public.state_dict().get(key)
        assert torch.equal(value, drawn[key] if taken is None else taken), key
    own = [key for key in drawn if key not in public.state_dict()]
    assert own == [
        *("proj", "transformer.norm.weight", "transformer.norm.bias", "ln_post1.weight", "ln_post1.bias"),
        *("to_cls_decoder.weight", "ln_final.weight", "ln_final.bias"),
    ]


def test_training_begins_with_clips_weights_where_there_are_no_others(tmp_path: Path) -> None:
    net, drawn = tiny_vision(), tiny_vision(seed=2).state_dict()
    new = ("lmhra", "transformer.d", "balance", "temporal", "norm", "ln_post1", "ln_final", "to_cls_decoder")
    kept = {key: value for key, value in drawn.items() if not any(part in key for part in new)}
    kept |= {"conv1.weight": kept["conv1.weight"][:, :, 1], "ln_post.weight": torch.ones(32)}
    torch.save(
        {f"visual.{key}": value for key, value in kept.items()} | {"ln_final.weight": torch.ones(16)}, tmp_path / "a"
    )
    net.begin(tmp_path / "a")
    assert torch.equal(net.conv1.weight[:, :, 1], drawn["conv1.weight"][:, :, 1])
    assert not net.conv1.weight[:, :, ::2].any()
    assert torch.equal(net.transformer.resblocks[2].mlp[0].weight, drawn["transformer.resblocks.2.mlp.c_fc.weight"])


def test_a_file_of_another_network_is_no_beginning(tmp_path: Path) -> None:
    state = {key: value for key, value in UniFormerV2(5, TINY).state_dict().items() if ".lmhra" not in key}
    torch.save(state, tmp_path / "k400.pth")
    with pytest.raises(MepipeError, match=r"k400\.pth is no checkpoint of UniFormerV2.* 66 missing \(.*lmhra1"):
        tiny_vision().begin(tmp_path / "k400.pth")
