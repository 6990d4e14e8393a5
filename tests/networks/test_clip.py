"""CLIP through open_clip, from files with OpenAI's keys, against the public network's outputs."""

from __future__ import annotations

import copy
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("open_clip")

from mepipe import networks, weights
from mepipe.errors import MepipeError, UsageError
from mepipe.networks import checkpoints, clip, torchscript
from tests.networks import reference


@pytest.mark.parametrize("name", reference.CLIPS)
def test_keys_and_shapes_are_openais(name: str) -> None:
    with torch.device("meta"):
        net = networks.build(name)
    assert reference.shapes(net) == dict(reference.keys(f"{name}_openai"))


@pytest.mark.parametrize("name", reference.CLIPS)
@torch.inference_mode()
def test_first_layer_and_tokens_are_those_of_the_public_network(name: str) -> None:
    known = reference.golden(name)
    config = copy.deepcopy(clip.open_clip.get_model_config(clip.MODELS[reference.CLIPS[name]]))
    config["vision_cfg"]["layers"] = config["text_cfg"]["layers"] = 1
    config["text_cfg"]["vocab_size"] = 2
    with torch.device("meta"):
        visual = clip.Clip(**config).visual.eval()
    shapes = {f"visual.{key}": shape for key, shape in reference.shapes(visual).items()}
    state = reference.filled(shapes, gain=1.0)
    visual.load_state_dict({key.removeprefix("visual."): value for key, value in state.items()}, assign=True)
    got: dict[str, Tensor] = {}
    visual.ln_pre.register_forward_hook(lambda module, inputs, output: got.__setitem__("ln_pre", output))
    visual.transformer.register_forward_hook(lambda module, inputs, output: got.__setitem__("block", output))
    visual(reference.clip_image(known))
    # Tolerances of ../shared/reference, section 8
    np.testing.assert_allclose(got["ln_pre"][0, ::7, ::4], known["visual_ln_pre_tokens"], atol=1.5e-4)
    np.testing.assert_allclose(got["block"][0, ::7, ::4], known["visual_resblock0_tokens"], atol=1.5e-4)
    assert np.array_equal(clip.tokens([str(known["text"])]), known["tokens"])


@pytest.mark.slow
@pytest.mark.parametrize("name", reference.CLIPS)
@torch.inference_mode()
def test_a_file_with_openais_keys_gives_what_the_public_network_gives(name: str, tmp_path: Path) -> None:
    known = reference.golden(name)
    torch.save(reference.filled(dict(reference.keys(f"{name}_openai")), gain=1.0), tmp_path / "clip.pt")
    net = networks.load(name, tmp_path / "clip.pt")
    assert isinstance(net, clip.Clip)
    ids = clip.tokens([str(known["text"])])
    image, text = net.encode_image(reference.clip_image(known)), net.encode_text(ids)
    alone = clip.text_encoder(reference.CLIPS[name], tmp_path / "clip.pt")(ids)
    # Tolerances of ../shared/reference, section 8: the exact GELU would be off by 4e-2
    np.testing.assert_allclose(image[0], known["image_features"], atol=5e-5)
    for features in (text, alone):
        np.testing.assert_allclose(features[0], known["text_features"], atol=5e-5)
    logits = net.logit_scale.exp() * nn.functional.normalize(image) @ nn.functional.normalize(text).T
    np.testing.assert_allclose(logits, known["logits_per_image"], atol=5e-5)


def tiny() -> clip.Clip:
    torch.manual_seed(0)
    net = clip.build("tiny")
    net.load_state_dict(reference.filled(reference.shapes(net), gain=1.0))
    return net


@torch.inference_mode()
def test_the_text_half_alone_computes_as_open_clip_does(tmp_path: Path) -> None:
    net = tiny()
    torch.save(net.state_dict(), tmp_path / "clip.pt")
    ids = clip.tokens(["a photo of micro-expression of anger", "Lowering the brows."])
    found = clip.text_encoder("tiny", tmp_path / "clip.pt")(ids)
    torch.testing.assert_close(found, net.encode_text(ids), atol=1e-5, rtol=1e-5)  # another order of sums


def test_random_text_halves_follow_their_seed_and_leave_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (clip.text_encoder("tiny", None, seed).text_projection for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("text", ["Raising the inner part of the brows", "a photo of micro-expression of ANGER, (L)"])
def test_tokens_are_those_of_open_clip(text: str) -> None:
    assert torch.equal(clip.tokens([text]), clip.open_clip.tokenize([text]))


def test_a_text_that_does_not_fit_is_refused_instead_of_cut() -> None:
    with pytest.raises(UsageError, match="102 tokens, and CLIP reads 77: 'brow brow"):
        clip.tokens(["brow " * 100])


class Part(nn.Module):
    """As OpenAI's archives are: nested, of two precisions, with facts as integers, and a mask that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4))
        self.resblocks[0].half()
        self.register_buffer("input_resolution", torch.tensor(224))
        self.attn_mask = torch.full((2, 2), float("-inf")).triu(1)
        self.tail = nn.Parameter(torch.randn(3, 8)[:, 1::2].T)  # a view: strides, and an offset
        self.again = self.resblocks[1]

    def forward(self, x: Tensor) -> Tensor:
        return self.resblocks[0](x)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.jit.script(Part()).save(str(tmp_path / "ViT.pt"))
    return tmp_path / "ViT.pt"


def test_an_archive_gives_the_tensors_that_torch_finds_in_it(archive: Path) -> None:
    found, expected = torchscript.read(archive), torch.jit.load(str(archive)).state_dict()
    assert set(expected) <= set(found)
    assert set(found) - set(expected) == {"attn_mask"}
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        assert torch.equal(found[key], value), key
    as_float = checkpoints.read(archive)
    assert as_float["resblocks.0.weight"].dtype == torch.float32
    assert torch.equal(as_float["resblocks.0.weight"], expected["resblocks.0.weight"].float())


def test_openais_archive_fills_the_network(tmp_path: Path) -> None:
    net = tiny()

    class Archive(nn.Module):
        """Only what is stored: tracing the network itself would add nothing that is read."""

        def __init__(self) -> None:
            super().__init__()
            for name, module in net.named_children():
                self.add_module(name, Stored(module))
            for name, parameter in net.named_parameters(recurse=False):
                self.register_parameter(name, parameter)
            for fact in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(fact, torch.tensor(7))

        def forward(self) -> int:
            return 0

    class Stored(nn.Module):
        def __init__(self, of: nn.Module) -> None:
            super().__init__()
            for name, module in of.named_children():
                self.add_module(name, Stored(module))
            for name, parameter in of.named_parameters(recurse=False):
                self.register_parameter(name, parameter)

        def forward(self) -> int:
            return 0

    torch.jit.script(Archive()).save(str(tmp_path / "ViT.pt"))
    other = clip.build("tiny")
    checkpoints.fill(other, other.accepted(checkpoints.read(tmp_path / "ViT.pt")), "ViT.pt", "tiny")
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())
    assert clip.text_encoder("tiny", tmp_path / "ViT.pt").text_projection.equal(net.text_projection)


def _changed(archive: Path, change: bytes, to: bytes) -> Path:
    changed = archive.with_name("changed.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("data.pkl"):
                assert change in content, "nothing would be tested"
                content = content.replace(change, to)
            new.writestr(item.filename, content)
    return changed


def test_an_archive_that_calls_for_anything_else_is_refused_and_not_executed(archive: Path, tmp_path: Path) -> None:
    trap = b"cposix\nmkdir\n(V" + str(tmp_path / "made").encode() + b"\ntR."
    for old, new in ((b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n"), (b"\x80\x02", b"\x80\x02" + trap)):
        with pytest.raises(MepipeError, match=r"changed\.pt is no TorchScript archive that can be read \(Unpickling"):
            checkpoints.read(_changed(archive, old, new))
    assert not (tmp_path / "made").exists()


def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(archive: Path) -> None:
    with pytest.raises(MepipeError, match="no TorchScript archive that can be read"):
        checkpoints.read(_changed(archive, b"K\x04K\x06", b"K\xffK\xff"))


@pytest.mark.parametrize("name", reference.CLIPS.values())
def test_lacking_weights_say_which_from_where_and_where_to_put_them(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError) as error:
        weights.locate(name)
    for part in (weights.get(name).file, str(tmp_path), "github.com/openai/CLIP", f"mepipe weights fetch {name}"):
        assert part in str(error.value)


def test_a_name_without_quickgelu_is_not_to_be_had() -> None:
    with pytest.raises(UsageError, match="clip-vit-b32, clip-vit-b16, tiny"):
        clip.build("ViT-B-32")
    assert all(clip.open_clip.get_model_config(model)["quick_gelu"] for model in clip.MODELS.values())
