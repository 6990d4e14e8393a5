"""MPT against the paper's tables, closed forms, and the frozen transformer it starts from."""

import copy
import zlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mepipe.errors import MepipeError, UsageError  # noqa: E402
from mepipe.models import backbones, mpt  # noqa: E402
from mepipe.models.mpt import MPTConfig  # noqa: E402

NAME = "vit_base_patch16_224.augreg_in21k"
GOLDEN = Path(__file__).parents[3] / "shared" / "reference" / "golden" / f"{NAME}.npz"


def full_size(**changes):
    with torch.device("meta"):  # shapes without numbers: 86 M parameters cost nothing
        return mpt.MPT(timm.create_model(NAME, num_classes=0), 3, MPTConfig(**changes))


# Tables V-VIII of the paper; a row is what is trained, and millions of parameters as printed.
@pytest.mark.parametrize(
    ("changes", "millions"),
    [
        ({}, 5.5),
        ({"prompts": 0}, 3.5),
        ({"adapter": "shared"}, 2.0),
        ({"adapter": "none"}, 0.2),
    ],
)
def test_tunable_parameters_are_those_of_the_papers_tables(changes, millions):
    assert round(mpt.tunable(full_size(**changes)) / 1e6, 1) == millions


def test_the_head_alone_is_a_linear_layer():
    # the paper prints 0.003 M for this, which is 2,307 rounded up
    assert mpt.tunable(full_size(prompts=0, adapter="none")) == 768 * 3 + 3


def test_the_whole_transformer_is_the_papers_without_a_layer_that_timm_dropped():
    # 86.4 M in table VI: older in21k checkpoints had a 768 x 768 pre-logits layer, the augreg ones have none
    whole = mpt.tunable(full_size(prompts=0, adapter="none", freeze=False))
    assert round((whole + 768 * 768 + 768) / 1e6, 1) == 86.4


def test_multiplications_are_the_papers_18_7_giga():
    from torch.utils.flop_counter import FlopCounterMode

    model = full_size()
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 224, 224), torch.zeros(1, 16, 3, 224, 224))
    assert round(counter.get_total_flops() / 2e9, 1) == 18.7  # a multiply-add is two operations


def tiny(**changes):
    torch.manual_seed(0)
    return mpt.MPT(copy.deepcopy(backbones.build("tiny", None)), 3, MPTConfig(motion_size=28, **changes)).eval()


def pair(batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, 112, 112, generator=generator), torch.randn(batch, 16, 3, 28, 28, generator=generator)


def test_without_prompts_it_starts_as_the_frozen_transformer():
    trunk = backbones.build("tiny", None)
    model = tiny(prompts=0)
    image, motion = pair()
    with torch.no_grad():
        assert torch.equal(model(image, motion), model.head(trunk(image)))


@pytest.mark.parametrize("adapter", ["group", "shared"])
def test_adapters_start_as_the_identity_with_prompts_too(adapter):
    bare = tiny(adapter="none")
    model = tiny(adapter=adapter)
    model.prompts.load_state_dict(bare.prompts.state_dict())
    model.head.load_state_dict(bare.head.state_dict())
    with torch.no_grad():
        assert torch.equal(model(*pair()), bare(*pair()))


@pytest.mark.parametrize("prompts", [0, 5])
def test_only_prompts_adapters_and_head_are_trained(prompts):
    model = tiny(prompts=prompts)
    frozen = copy.deepcopy(backbones.build("tiny", None).state_dict())
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):  # the second step reaches the down-projections, behind up-projections that began at zero
        optimiser.zero_grad()
        model(*pair()).square().sum().backward()
        optimiser.step()
    after = model.backbone.state_dict()
    assert all(torch.equal(after[key.replace(".mlp.", ".mlp.0.")], value) for key, value in frozen.items())
    still = [name for name, p in model.named_parameters() if p.requires_grad and not p.grad.abs().sum() > 0]
    # the last layer's visual and motion outputs reach nothing: only the class token goes to the head
    last = f"backbone.blocks.{len(model.backbone.blocks) - 1}.mlp.1.branches"
    assert all(name.startswith((f"{last}.visual", f"{last}.motion")) for name in still), still


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
    adapter = randomised(mpt.GroupAdapter(16, 4, visual=9, prompts=3))
    x = torch.randn(2, 13, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        before = adapter(x)
        adapter.branches[branch].up.weight.mul_(2)
        changed = (adapter(x) - before).abs().amax(dim=(0, 2)) > 0
    expected = torch.zeros(13, dtype=torch.bool)
    expected[tokens] = True
    assert torch.equal(changed, expected)


def test_group_adapter_on_one_token_by_hand():
    adapter = randomised(mpt.GroupAdapter(8, 2, visual=4, prompts=2))
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
    weights = mpt.gaussian_weights(mean, variance, 16).numpy()
    t = np.arange(16)
    for i, (m, v) in enumerate(((7.3, 4.0), (2.0, 0.5))):
        bell = np.exp(-((t - m) ** 2) / (2 * v)) / np.sqrt(2 * np.pi * v)
        np.testing.assert_allclose(weights[0, i], bell / bell.sum(), rtol=1e-9)


def test_a_kernel_far_narrower_than_a_frame_takes_the_nearest_frame():
    weights = mpt.gaussian_weights(torch.tensor([[3.4]]), torch.tensor([[1e-4]]), 8)
    assert weights[0, 0].argmax() == 3
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("prompts", [1, 3, 5, 7])
def test_kernels_start_spread_over_the_clip_and_prompts_differ(prompts):
    torch.manual_seed(0)
    module = mpt.MotionPrompts(prompts, 16, 32, channels=4, grid=2)
    motion = torch.randn(1, 16, 3, 8, 8) * torch.arange(16).view(1, 16, 1, 1, 1)
    with torch.no_grad():
        mean, variance = module.kernels(torch.randn(1, 16, 4, 2, 2))
        tokens = module(motion)[0]
    np.testing.assert_allclose(mean[0].numpy(), (np.arange(prompts) + 0.5) / prompts * 15, atol=1e-4)  # float32
    np.testing.assert_allclose(variance[0].sqrt().numpy(), 7.5 / prompts, atol=2e-3)  # plus the least width
    assert tokens.unique(dim=0).shape == (prompts, 32)


def textured(height=32):
    return np.random.default_rng(0).random((height, height, 3)).astype(np.float32)


def test_light_that_drifts_is_no_motion_and_movement_is():
    face = textured()
    drift = np.stack([face * (1 + 0.05 * t) + 0.02 * t for t in range(16)])
    assert float(mpt.motion_sequence(drift, 32).abs().max()) == 0
    moved = drift.copy()
    moved[8, 10:14, 10:14] += 0.3
    motion = mpt.motion_sequence(moved, 32).float()
    assert float(motion.square().mean()) == pytest.approx(1, abs=1e-2)  # float16
    assert float(motion[8, :, 10:14, 10:14].square().sum() / motion.square().sum()) > 0.9


def test_a_still_or_blank_clip_is_zeros():
    assert not mpt.motion_sequence(np.repeat(textured()[None], 16, 0), 16).any()
    assert not mpt.motion_sequence(np.zeros((16, 8, 8, 3), np.float16), 8).any()


def test_dynamic_image_takes_bytes_and_floats_alike():
    image = (textured() * 255).astype(np.uint8)
    as_bytes, as_floats = mpt.dynamic_image(image, 32), mpt.dynamic_image(image.astype(np.float32) / 255, 32)
    np.testing.assert_allclose(as_bytes.numpy(), as_floats.numpy(), atol=1e-3)  # float16
    np.testing.assert_allclose(as_bytes.numpy()[1], image[..., 1] / 127.5 - 1, atol=1e-3)


def test_random_backbone_follows_its_seed_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (backbones.build("tiny", None, seed).pos_embed for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_lacking_weights_say_which_from_where_and_where_to_put_them(tmp_path):
    with pytest.raises(MepipeError) as error:
        backbones.weights_file("vit-b16", tmp_path)
    for part in (f"{NAME}.safetensors", str(tmp_path), f"huggingface.co/timm/{NAME}", "--weights random"):
        assert part in str(error.value)
    with pytest.raises(UsageError, match="--weights random"):
        backbones.weights_file("tiny", tmp_path)
    with pytest.raises(UsageError, match="vit-b16, tiny"):
        backbones.backbone("resnet")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / f"{NAME}.pth"
    torch.save({"weight": torch.zeros(3)}, path)  # timm itself lets this pass, with random weights
    assert backbones.weights_file("vit-b16", tmp_path) == path
    with pytest.raises(MepipeError, match="is no checkpoint of"):
        backbones.build("vit-b16", path)


def filled(model):
    """The weights of ../shared/reference/README.md, section 1, for this network's keys."""
    state = {}
    for key, value in model.state_dict().items():
        z = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(tuple(value.shape))
        last = key.rsplit(".", 1)[-1]
        if last in ("pos_embed", "cls_token"):
            z *= 0.5
        elif z.ndim == 1:
            z = 1 + 0.1 * z if last == "weight" else 0.05 * z
        else:
            z /= np.sqrt(z.size / z.shape[0])
        state[key] = torch.from_numpy(z.astype(np.float32))
    return state


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_checkpoint_with_its_own_head_loads_and_computes_as_the_reference(tmp_path, suffix):
    if not GOLDEN.exists():
        pytest.skip(f"no {GOLDEN.name} in ../shared/reference/golden")
    state = filled(timm.create_model(NAME))
    path = tmp_path / f"{NAME}.{suffix}"
    if suffix == "pth":
        torch.save(state, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    golden = np.load(GOLDEN)
    low = next(golden[key] for key in golden.files if key.startswith("low_res"))
    image = low.repeat(8, axis=0).repeat(8, axis=1)
    model = backbones.build("vit-b16", backbones.weights_file("vit-b16", tmp_path))
    with torch.no_grad():
        feature = model(((torch.from_numpy(image).float() / 255 - 0.5) / 0.5).permute(2, 0, 1)[None])
    # five times what threads and oneDNN change, a thousandth of what a wrong epsilon does (README, section 8)
    np.testing.assert_allclose(feature[0].numpy(), golden["class_feature"], atol=5e-5)
