"""The large models: which file, which pixels, and the numbers of the reference."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mepipe.errors import MepipeError, UsageError  # noqa: E402
from mepipe.models import backbones  # noqa: E402
from mepipe.models.mpt_inputs import dynamic_image  # noqa: E402

NAME = "vit_base_patch16_224.augreg_in21k"
GOLDEN = Path(__file__).parents[3] / "shared" / "reference" / "golden" / f"{NAME}.npz"


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
