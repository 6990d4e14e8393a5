"""MPT against the paper's tables, closed forms, and the frozen transformer it starts from."""

import copy
import json
import zlib
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mepipe.errors import MepipeError, UsageError  # noqa: E402
from mepipe.models import backbones, configs, mpt  # noqa: E402
from mepipe.models.configs.mpt import CONFIGURATIONS, MPTConfig  # noqa: E402
from mepipe.models.mpt_adapters import GroupAdapter  # noqa: E402
from mepipe.models.mpt_inputs import dynamic_image, motion_sequence  # noqa: E402
from mepipe.models.mpt_prompts import LearnedPrompts, MotionPrompts, gaussian_weights  # noqa: E402

NAME = "vit_base_patch16_224.augreg_in21k"
GOLDEN = Path(__file__).parents[3] / "shared" / "reference" / "golden" / f"{NAME}.npz"


def full_size(config):
    with torch.device("meta"):  # shapes without numbers: 86 M parameters cost nothing
        return mpt.MPT(backbones._empty(config.backbone), 3, config)


def multiplications(config):
    from torch.utils.flop_counter import FlopCounterMode

    model = full_size(config)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        motion = torch.zeros(1, 16, 3, config.motion_size, config.motion_size)
        model(torch.zeros(1, 3, 224, 224), *([motion] if model.prompts else []))
    return counter.get_total_flops() / 2e9  # a multiply-add is two operations


# Tables V-VIII of the paper: millions of tunable parameters as printed.
@pytest.mark.parametrize(
    ("row", "millions"),
    [
        ("paper", 5.5),
        ("vi-motion-prompt", 0.2),
        ("vi-group-adapter", 3.5),
        ("vii-vpt-shallow", 5.5),
        ("vii-vpt-deep", 5.8),
        ("viii-primitive-adapter", 2.0),
        # a large model or a number of prompts does not change what is tuned, as printed
        ("ix-vit-b32", 5.5),
        ("ix-clip-b16", 5.5),
        ("ix-clip-b32", 5.5),
        ("fig5-1", 5.5),
        ("fig5-7", 5.5),
    ],
)
def test_tunable_parameters_are_those_of_the_papers_tables(row, millions):
    assert round(mpt.tunable(full_size(CONFIGURATIONS[row])) / 1e6, 1) == millions


def test_the_head_alone_is_a_linear_layer():
    # the paper prints 0.003 M for this, which is 2,307 rounded up
    assert mpt.tunable(full_size(CONFIGURATIONS["vi-partial"])) == 768 * 3 + 3


@pytest.mark.parametrize("row", ["vi-scratch", "vi-full"])
def test_the_whole_transformer_is_the_papers_without_a_layer_that_timm_dropped(row):
    # 86.4 M in table VI: older in21k checkpoints had a 768 x 768 pre-logits layer, the augreg ones have none
    whole = mpt.tunable(full_size(CONFIGURATIONS[row]))
    assert round((whole + 768 * 768 + 768) / 1e6, 1) == 86.4


def test_multiplications_are_the_papers_18_7_giga():
    assert round(multiplications(CONFIGURATIONS["paper"]), 1) == 18.7


@pytest.mark.parametrize(("kind", "millions", "length"), [("vpt-shallow", 5.5, 200), ("vpt-deep", 5.8, 50)])
def test_one_only_of_vpts_prompt_lengths_gives_the_number_that_is_printed(kind, millions, length):
    fitting = [
        n
        for n in (1, 5, 10, 50, 100, 200)  # what Jia et al. choose from
        if round(mpt.tunable(full_size(MPTConfig(prompt=kind, prompts=n))) / 1e6, 1) == millions
    ]
    assert fitting == [length]
    assert CONFIGURATIONS[f"vii-{kind}"].prompts == length


def test_rows_differ_from_the_paper_in_what_they_are_named_for():
    assert len({config.model_dump_json() for config in CONFIGURATIONS.values()}) == len(CONFIGURATIONS)
    assert next(iter(CONFIGURATIONS)) == "paper"
    for r in (4, 12):
        assert mpt.tunable(full_size(CONFIGURATIONS[f"xi-{r}"])) > 12 * 3 * 2 * 768 * 768 // r
    for name, config in CONFIGURATIONS.items():
        assert mpt.MODEL.weights(config) == (None if name == "vi-scratch" else config.backbone)


def test_backbones_that_can_be_chosen_are_those_that_there_are():
    assert get_args(MPTConfig.model_fields["backbone"].annotation) == tuple(backbones.BACKBONES)


@pytest.mark.parametrize("row", ["x-0", "x-10", "x-30", "x-50"])
def test_other_magnifications_are_nodes_of_their_own_with_that_alpha(row):
    from mepipe.recipe.model import load

    image, motion = mpt.MODEL.features(CONFIGURATIONS[row])
    nodes, usual = load("mpt-alpha").nodes, load("mpt").nodes
    assert nodes[nodes[motion].input].params == {"alpha": int(row[2:])}
    assert nodes[motion].model_copy(update={"input": "magnify"}) == usual["magnify.frames"]
    assert nodes[image] == usual[image]


def test_what_has_no_motion_prompts_reads_no_motion():
    for row in ("vi-group-adapter", "vi-full", "vii-vpt-deep"):
        assert mpt.MODEL.features(CONFIGURATIONS[row]) == ("rank-pool",)
    assert mpt.MODEL.features(CONFIGURATIONS["paper"]) == ("rank-pool", "magnify.frames")


def test_frames_that_cannot_be_cut_into_equal_cells_are_refused():
    with pytest.raises(UsageError, match=r"grid: frames of 30 pixels have no 4 x 4 equal cells \(got 4\)"):
        configs.choose("mpt", "tiny", {"motion_size": 30})


def tiny(**changes):
    torch.manual_seed(0)
    config = MPTConfig(backbone="tiny", pretrained=False, motion_size=28, **changes)
    return mpt.build(config, 3, None, 0)().eval()


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


@pytest.mark.parametrize("prompt", ["vpt-shallow", "vpt-deep"])
def test_learned_prompts_are_trained_in_every_layer_that_has_them(prompt):
    model = tiny(prompt=prompt, prompts=3)
    model(pair()[0]).square().sum().backward()
    assert model.vectors.vectors.shape == (1 if prompt == "vpt-shallow" else 2, 3, 64)
    assert (model.vectors.vectors.grad.flatten(1).abs().amax(dim=1) > 0).all()


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


def read_features(frames=16):
    rng = np.random.default_rng(0)
    images = {i: (rng.random((20, 20, 3)) * 255).astype(np.uint8) for i in "ab"}
    return {"rank-pool": images, "magnify.frames": {i: rng.random((frames, 24, 24, 3), np.float32) for i in "ab"}}


def test_inputs_are_in_the_order_asked_for_and_of_the_sizes_that_the_network_takes():
    config = CONFIGURATIONS["tiny"]
    read = read_features()
    images, motion = mpt.MODEL.inputs(config, read, ["b", "a", "b"])
    assert (images.shape, motion.shape) == ((3, 3, 112, 112), (3, 16, 3, 28, 28))
    assert images.dtype == motion.dtype == torch.float16
    assert torch.equal(motion[1], motion_sequence(read["magnify.frames"]["a"], 28))
    assert torch.equal(images[0], images[2])
    assert tiny()(images.float(), motion.float()).shape == (3, 3)
    (alone,) = mpt.MODEL.inputs(config, {"rank-pool": read["rank-pool"]}, ["a"])
    assert torch.equal(alone[0], images[1])


def test_clips_of_another_length_say_what_to_do():
    with pytest.raises(MepipeError, match=r"a has 8 magnified frames, not 16\. Say --frames 8"):
        mpt.MODEL.inputs(CONFIGURATIONS["tiny"], read_features(8), ["a"])


def test_folds_begin_with_the_same_backbone_and_change_their_own():
    make = mpt.MODEL.build(CONFIGURATIONS["tiny"], 3, None, 0)
    one, two = make(), make()
    weights = [learner.backbone.blocks[0].mlp[0].fc1.weight for learner in (one, two)]
    assert torch.equal(*weights)
    with torch.no_grad():
        weights[0].zero_()
    assert weights[1].abs().max() > 0


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


def textured(height=32):
    return np.random.default_rng(0).random((height, height, 3)).astype(np.float32)


def test_light_that_drifts_is_no_motion_and_movement_is():
    face = textured()
    drift = np.stack([face * (1 + 0.05 * t) + 0.02 * t for t in range(16)])
    assert float(motion_sequence(drift, 32).abs().max()) == 0
    moved = drift.copy()
    moved[8, 10:14, 10:14] += 0.3
    motion = motion_sequence(moved, 32).float()
    assert float(motion.square().mean()) == pytest.approx(1, abs=1e-2)  # float16
    assert float(motion[8, :, 10:14, 10:14].square().sum() / motion.square().sum()) > 0.9


def test_a_still_or_blank_clip_is_zeros():
    assert not motion_sequence(np.repeat(textured()[None], 16, 0), 16).any()
    assert not motion_sequence(np.zeros((16, 8, 8, 3), np.float16), 8).any()


def test_dynamic_image_takes_bytes_and_floats_alike():
    image = (textured() * 255).astype(np.uint8)
    as_bytes, as_floats = dynamic_image(image, 32), dynamic_image(image.astype(np.float32) / 255, 32)
    np.testing.assert_allclose(as_bytes.numpy(), as_floats.numpy(), atol=1e-3)  # float16
    np.testing.assert_allclose(as_bytes.numpy()[1], image[..., 1] / 127.5 - 1, atol=1e-3)


def test_clips_image_encoder_is_given_the_pixels_that_it_was_trained_on():
    clip = backbones.BACKBONES["clip-b16"]
    grey = np.full((4, 4, 3), 0.5, np.float32)
    expected = (0.5 - np.array(clip.mean)) / np.array(clip.std)
    np.testing.assert_allclose(dynamic_image(grey, 4, clip.mean, clip.std)[:, 0, 0].numpy(), expected, atol=1e-3)
    assert timm.get_pretrained_cfg(clip.architecture).mean == clip.mean
    assert timm.get_pretrained_cfg(clip.architecture).std == clip.std
    assert timm.get_pretrained_cfg(clip.architecture).hf_hub_id == f"timm/{clip.checkpoint}"


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
    with pytest.raises(UsageError, match="vit-b16, vit-b32, clip-b16, clip-b32, tiny"):
        backbones.backbone("resnet")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    path = tmp_path / f"{NAME}.pth"
    torch.save({"weight": torch.zeros(3)}, path)  # timm itself lets this pass, with random weights
    assert backbones.weights_file("vit-b16", tmp_path) == path
    with pytest.raises(MepipeError, match="is no checkpoint of"):
        backbones.build("vit-b16", path)


def filled(shapes):
    """The weights of ../shared/reference/README.md, section 1, for a network's keys and shapes."""
    state = {}
    for key, shape in shapes.items():
        z = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(tuple(shape))
        last = key.rsplit(".", 1)[-1]
        if last in ("pos_embed", "cls_token", "positional_embedding"):
            z *= 0.5
        elif z.ndim == 1:
            z = 1 + 0.1 * z if last == "weight" else 0.05 * z
        else:
            z /= np.sqrt(z.size / z.shape[0])
        state[key] = torch.from_numpy(z.astype(np.float32))
    return state


def pixels(low, backbone):
    """The reference's blocky image, in the values that a backbone takes."""
    image = torch.from_numpy(low.repeat(8, axis=0).repeat(8, axis=1)).float() / 255
    return ((image - torch.tensor(backbone.mean)) / torch.tensor(backbone.std)).permute(2, 0, 1)[None]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_checkpoint_with_its_own_head_loads_and_computes_as_the_reference(tmp_path, suffix):
    if not GOLDEN.exists():
        pytest.skip(f"no {GOLDEN.name} in ../shared/reference/golden")
    state = filled({key: value.shape for key, value in timm.create_model(NAME).state_dict().items()})
    path = tmp_path / f"{NAME}.{suffix}"
    if suffix == "pth":
        torch.save(state, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    golden = np.load(GOLDEN)
    low = next(golden[key] for key in golden.files if key.startswith("low_res"))
    model = backbones.build("vit-b16", backbones.weights_file("vit-b16", tmp_path))
    with torch.no_grad():
        feature = model(pixels(low, backbones.BACKBONES["vit-b16"]))
    # five times what threads and oneDNN change, a thousandth of what a wrong epsilon does (README, section 8)
    np.testing.assert_allclose(feature[0].numpy(), golden["class_feature"], atol=5e-5)


@pytest.mark.slow
@pytest.mark.parametrize("patch", [16, 32])
def test_clips_image_encoder_computes_as_openais(tmp_path, patch):
    keys = GOLDEN.parents[1] / "keys" / f"clip_vit_b{patch}_openai.json"
    if not keys.exists():
        pytest.skip(f"no {keys.name} in ../shared/reference/keys")
    from timm.models.vision_transformer import checkpoint_filter_fn

    shapes = {key: shape for key, shape, _ in json.loads(keys.read_text()) if key.startswith("visual.")}
    openai = filled(shapes)
    chosen = backbones.BACKBONES[f"clip-b{patch}"]
    # what timm publishes is OpenAI's file under timm's names, with a head into the space that CLIP compares in
    renamed = checkpoint_filter_fn(openai, timm.create_model(chosen.architecture))
    path = tmp_path / f"{chosen.checkpoint}.pth"
    torch.save({key: value.contiguous() for key, value in renamed.items()}, path)
    golden = np.load(GOLDEN.parent / f"clip_vit_b{patch}.npz")
    model = backbones.build(f"clip-b{patch}", backbones.weights_file(f"clip-b{patch}", tmp_path))
    with torch.no_grad():
        feature = model(pixels(golden["low_res_image"], chosen)) @ openai["visual.proj"]
    # ten times what threads change, a thousandth of what the exact GELU does (README, section 8)
    np.testing.assert_allclose(feature[0].numpy(), golden["image_features"], atol=5e-5)
