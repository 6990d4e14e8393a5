"""Adapters and prompts of MPT against closed forms."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mepipe.models.mpt_adapters import GroupAdapter  # noqa: E402
from mepipe.models.mpt_prompts import LearnedPrompts, MotionPrompts, gaussian_weights  # noqa: E402


def test_vpt_by_hand():
    tokens = torch.arange(8.0).view(2, 4, 1)
    prompts = LearnedPrompts(2, 2, 1, 16)
    with torch.no_grad():
        prompts.vectors.copy_(torch.tensor([[[-1], [-2]], [[-3], [-4]]]))
        first = prompts(tokens, 0)
        assert first[:, :, 0].tolist() == [[0, 1, 2, 3, -1, -2], [4, 5, 6, 7, -1, -2]]
        assert prompts(first * 10, 1)[:, :, 0].tolist() == [[0, 10, 20, 30, -3, -4], [40, 50, 60, 70, -3, -4]]
        assert torch.equal(prompts(first, 2), first)  # a layer without vectors of its own


def test_learned_prompts_begin_within_xaviers_bound():
    torch.manual_seed(0)
    vectors = LearnedPrompts(200, 12, 768, 16).vectors.detach()
    bound = (6 / (3 * 16 * 16 + 768)) ** 0.5
    assert bound * 0.999 < vectors.abs().max() <= bound
    assert float(vectors.var()) == pytest.approx(bound**2 / 3, rel=0.01)  # of a uniform distribution; 1.8 M draws


def randomised(adapter):
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for p in adapter.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
    return adapter


@pytest.mark.parametrize(
    ("branch", "tokens"), [("cls", slice(0, 1)), ("visual", slice(1, 10)), ("motion", slice(10, 13))]
)
def test_a_branch_changes_the_tokens_of_its_type_only(branch, tokens):
    adapter = randomised(GroupAdapter(16, 4, visual=9, prompts=3))
    x = torch.randn(2, 13, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before = adapter(x)
        adapter.branches[branch].up.weight.mul_(2)
        changed = (adapter(x) - before).abs().amax(dim=(0, 2)) > 0
    expected = torch.zeros(13, dtype=torch.bool)
    expected[tokens] = True
    assert torch.equal(changed, expected)


def test_group_adapter_on_one_token_by_hand():
    adapter = randomised(GroupAdapter(8, 2, visual=4, prompts=2))
    x = torch.randn(1, 7, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    adapter.double()
    down, up = (getattr(adapter.branches["visual"], k).weight.detach().numpy() for k in ("down", "up"))
    a = x[0].numpy()
    h = down @ (a[2] + a[0] + a[5:7].mean(axis=0))  # a visual token meets the class token and the motion average
    erf = np.vectorize(__import__("math").erf)
    expected = a[2] + up @ (h * 0.5 * (1 + erf(h / np.sqrt(2))))
    np.testing.assert_allclose(adapter(x)[0, 2].detach().numpy(), expected, atol=1e-12)  # float64 rounding


def test_gaussian_weights_are_a_normalised_gaussian():
    mean, variance = torch.tensor([[7.3, 2.0]], dtype=torch.float64), torch.tensor([[4.0, 0.5]], dtype=torch.float64)
    weights = gaussian_weights(mean, variance, 16).numpy()
    t = np.arange(16)
    for i, (m, v) in enumerate(((7.3, 4.0), (2.0, 0.5))):
        bell = np.exp(-((t - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)
        np.testing.assert_allclose(weights[0, i], bell / bell.sum(), rtol=1e-9)


def test_a_kernel_far_narrower_than_a_frame_takes_the_nearest_frame():
    weights = gaussian_weights(torch.tensor([[3.4]]), torch.tensor([[1e-4]]), 8)
    assert weights[0, 0].argmax() == 3
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("prompts", [1, 3, 5, 7])
def test_kernels_start_spread_over_the_clip_and_prompts_differ(prompts):
    torch.manual_seed(0)
    module = MotionPrompts(prompts, 16, 32, channels=4, grid=2)
    motion = torch.randn(1, 16, 3, 8, 8) * torch.arange(16).view(1, 16, 1, 1, 1)
    with torch.no_grad():
        mean, variance = module.kernels(torch.randn(1, 16, 4, 2, 2))
        tokens = module(motion)[0]
    np.testing.assert_allclose(mean[0].numpy(), (np.arange(prompts) + 0.5) / prompts * 15, atol=1e-4)  # float32
    np.testing.assert_allclose(variance[0].sqrt().numpy(), 7.5 / prompts, atol=2e-3)  # plus the least width
    assert tokens.unique(dim=0).shape == (prompts, 32)
