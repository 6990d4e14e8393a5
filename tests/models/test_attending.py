"""Attention as blocks share it out: hand-computed where a block is small enough, and what forward passes imply."""

import math

import pytest

torch = pytest.importorskip("torch")

from mepipe.models import attending, backbones  # noqa: E402
from mepipe.networks.clip_parts import Block  # noqa: E402
from mepipe.networks.mer_clip import MerClipHead  # noqa: E402


def test_a_block_of_clip_equals_a_softmax_by_hand():
    """Two tokens of two numbers, one head, query and key the identity: norms make them (1, -1) and (-1, 1)."""
    block = Block(2, 1).eval()
    with torch.no_grad():
        block.attn.in_proj_weight.copy_(torch.eye(2).repeat(3, 1))
        block.attn.in_proj_bias.zero_()
    weights = attending.of_clip(block, torch.tensor([[[5.0, 3.0], [1.0, 9.0]]]))
    own = 1 / (1 + math.exp(-4 / math.sqrt(2)))  # scores 2 with itself and -2 with the other, over sqrt(2)
    torch.testing.assert_close(weights, torch.tensor([[[own, 1 - own], [1 - own, own]]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["clip", "timm", "head"])
def test_rows_sum_to_one_and_carry_values_as_the_forward_pass_does(kind):
    """With values that are one number per token, and one head, what a block's attention gives is rows times values."""
    torch.manual_seed(0)
    tokens = torch.randn(3, 5, 64)
    if kind == "clip":
        block = Block(64, 4).eval()
        found, attend = attending.of_clip(block, tokens), lambda x: block.attn(x, x, x, need_weights=False)[0]
        norm, value, out = block.ln_1, block.attn.in_proj_weight[128:], block.attn.out_proj
    elif kind == "timm":
        block = backbones.build("tiny", None).blocks[0]
        found, attend = attending.of_timm(block, tokens), block.attn
        norm, value, out = block.norm1, block.attn.qkv.weight[128:], block.attn.proj
    else:
        block = MerClipHead(3, width=64).blocks[0]
        found, attend = attending.of_head(block, tokens), block.attn
        norm, value, out = block.norm, block.attn.to_qkv.weight[128:], block.attn.proj
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(3, 5))
    projection = {"timm": getattr(block.attn, "qkv", None), "head": getattr(block.attn, "to_qkv", None)}.get(kind)
    bias = block.attn.in_proj_bias[128:] if projection is None else projection.bias[128:]
    with torch.no_grad():
        normed = norm(tokens)
        value.copy_(torch.outer(torch.ones(64), torch.randn(64)))  # all of a token's values are one number
        out.weight.copy_(torch.eye(64))
        carried = attend(normed) - out.bias - bias
        expected = (found @ (normed @ value[0])[..., None])[..., 0]
    torch.testing.assert_close(carried.mean(dim=2), expected, atol=1e-5, rtol=1e-5)


def test_places_stand_by_rows():
    tokens = torch.arange(6.0).reshape(1, 6, 1)[:, :4]
    assert attending.maps(tokens).tolist() == [[[[0, 1], [2, 3]]]]
    assert attending.square(torch.arange(9)).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
