"""MPT whole: the frozen transformer that it starts from, what it trains, what it reads."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.models import backbones, mpt  # noqa: E402
from mepipe.models.configs.mpt import CONFIGURATIONS, MPTConfig  # noqa: E402
from mepipe.models.mpt_inputs import dynamic_image, motion_sequence  # noqa: E402


def tiny(**changes):
    torch.manual_seed(0)
    config = MPTConfig(backbone="tiny", pretrained=False, motion_size=28, **changes)
    return mpt.build(config, ["a", "b", "c"], {}, 0)().eval()


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
    make = mpt.MODEL.build(CONFIGURATIONS["tiny"], ["a", "b", "c"], {}, 0)
    one, two = make(), make()
    weights = [learner.backbone.blocks[0].mlp[0].fc1.weight for learner in (one, two)]
    assert torch.equal(*weights)
    with torch.no_grad():
        weights[0].zero_()
    assert weights[1].abs().max() > 0


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
