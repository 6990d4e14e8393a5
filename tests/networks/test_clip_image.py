"""CLIP's image half, ours, against the public network's outputs and open_clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.networks import clip_image  # noqa: E402
from mepipe.networks.clip_image import SIZES, ImageEncoder, image_encoder  # noqa: E402
from tests.networks import reference  # noqa: E402


@pytest.mark.parametrize("name", reference.CLIPS)
def test_keys_and_shapes_are_openais(name: str) -> None:
    with torch.device("meta"):
        net = ImageEncoder(SIZES[reference.CLIPS[name]])
    expected = {k: s for k, s in reference.keys(f"{name}_openai") if k.startswith("visual.")}
    assert {f"visual.{key}": shape for key, shape in reference.shapes(net).items()} == expected


@pytest.mark.parametrize("name", reference.CLIPS)
@torch.inference_mode()
def test_tokens_are_those_of_the_public_network(name: str) -> None:
    known = reference.golden(name)
    with torch.device("meta"):
        net = ImageEncoder(replace(SIZES[reference.CLIPS[name]], layers=1)).eval()
    state = reference.filled({f"visual.{key}": shape for key, shape in reference.shapes(net).items()}, gain=1.0)
    net.load_state_dict(net.accepted(state), assign=True)
    image = reference.clip_image(known)
    # Tolerances of ../shared/reference, section 8
    np.testing.assert_allclose(net.tokens(image, 0)[0, ::7, ::4], known["visual_ln_pre_tokens"], atol=1.5e-4)
    np.testing.assert_allclose(net.tokens(image, 1)[0, ::7, ::4], known["visual_resblock0_tokens"], atol=1.5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", reference.CLIPS)
@torch.inference_mode()
def test_a_file_with_openais_keys_gives_what_the_public_network_gives(name: str, tmp_path: Path) -> None:
    known = reference.golden(name)
    torch.save(reference.filled(dict(reference.keys(f"{name}_openai")), gain=1.0), tmp_path / "clip.pt")
    found = image_encoder(reference.CLIPS[name], tmp_path / "clip.pt")(reference.clip_image(known))
    np.testing.assert_allclose(found[0], known["image_features"], atol=5e-5)  # section 8


@torch.inference_mode()
def test_it_computes_as_open_clip_does(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    from mepipe.networks import clip

    net = clip.build("tiny")
    torch.save(net.state_dict(), tmp_path / "clip.pt")
    images = torch.randn(2, 3, 64, 64)
    found = image_encoder("tiny", tmp_path / "clip.pt")(images)
    torch.testing.assert_close(found, net.encode_image(images), atol=1e-5, rtol=1e-5)  # another order of sums


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "clip.pt")
    with pytest.raises(MepipeError, match="no checkpoint of tiny"):
        image_encoder("tiny", tmp_path / "clip.pt")


def test_random_weights_follow_their_seed() -> None:
    one, same, other = (image_encoder("tiny", None, seed).proj for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_pictures_are_made_as_clip_was_trained_on_them() -> None:
    pytest.importorskip("open_clip")
    from open_clip import image_transform
    from PIL import Image

    coarse = np.random.default_rng(0).integers(64, 192, (12, 15, 3), np.uint8)
    pixels = coarse.repeat(8, axis=0).repeat(8, axis=1)
    made = image_transform(64, is_train=False, mean=clip_image.MEAN, std=clip_image.STD)
    expected = made(Image.fromarray(pixels))
    found = clip_image.prepare(torch.from_numpy(pixels.astype(np.float32) / 255), 64)[0]
    assert found.shape == (3, 64, 64)
    # greys far from the ends, where Pillow cuts off between its two passes; it rounds twice, to 1/255 over .26
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)
