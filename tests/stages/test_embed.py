"""Embedding pictures: which picture is embedded, in which colours a flow is seen, and where the network is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from mepipe import weights
from mepipe.clip import Clip
from mepipe.errors import UsageError
from mepipe.ops.flow_picture import picture
from mepipe.recipe.model import load, parse
from mepipe.recipe.resolve import resolve
from mepipe.stages import embed
from mepipe.stages.embed import EmbedParams

TINY = {"model": "tiny", "weights": "random"}


def test_what_is_no_choice_is_refused() -> None:
    with pytest.raises(ValidationError, match="tiny has no published weights"):
        EmbedParams(model="tiny")
    with pytest.raises(ValidationError, match="clip-vit-b32 has 12 layers: at most block-12"):
        EmbedParams(cut="block-13")
    with pytest.raises(ValidationError, match="pattern"):
        EmbedParams(cut="layer-9")


def test_published_weights_are_part_of_the_key_and_random_ones_are_none(tmp_path: Path, monkeypatch) -> None:
    assert embed.STAGE.weights(EmbedParams()) == ("clip-vit-b32",)
    assert embed.STAGE.weights(EmbedParams(**TINY)) == ()
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    with pytest.raises(UsageError, match=r"No weights 'clip-vit-b32': no ViT-B-32\.pt in .*mepipe weights fetch"):
        resolve(load("micro-au-clip"))


def test_recipes_of_random_embeddings_need_no_file_and_differ_from_each_other(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    apex, motion = (resolve(load("hcp-mer-tiny"))[f"{name}.embed"] for name in ("apex", "tvl1"))
    tokens = resolve(load("micro-au-clip-tiny"))["flow.tokens"]
    assert len({apex.key, motion.key, tokens.key}) == 3
    assert tokens.output.dims == ("token", "channel")


def test_what_is_no_picture_is_refused() -> None:
    pytest.importorskip("torch")
    text = "name: x\nnodes: {e: {stage: embed, input: source, params: {model: tiny, weights: random}}}"
    with pytest.raises(UsageError, match="embed takes a clip or a flow, and 'source' gives a source"):
        resolve(parse(text, "x"))


def clip(frames: np.ndarray, white: float = 255) -> Clip:
    return Clip(frames, np.arange(len(frames), dtype=float), 200.0, 0, 1, len(frames) - 1, white=white)


def faces(count: int = 2) -> np.ndarray:
    """Frames uint8 [count, 96, 96, 3], each of its own blocks."""
    return np.random.default_rng(3).integers(0, 256, (count, 12, 12, 3), np.uint8).repeat(8, 1).repeat(8, 2)


class TestTiny:
    """With the network at work."""

    torch = pytest.importorskip("torch")

    def embedded(self, given: Clip | np.ndarray, **params: object) -> np.ndarray:
        return embed.compute(given, EmbedParams(**TINY, **params))

    def test_sizes_are_the_networks(self) -> None:
        from mepipe.networks.clip_image import SIZES

        assert {n: (s.tokens, s.width, s.layers, s.embedding) for n, s in SIZES.items()} == embed._SIZES

    def test_the_last_frame_is_embedded_whatever_its_white(self) -> None:
        frames = faces()
        found = self.embedded(clip(frames))
        assert found.shape == (64,)
        np.testing.assert_array_equal(found, self.embedded(clip(frames[1:])))
        assert not np.allclose(found, self.embedded(clip(frames[:1])), atol=0.01)
        greys = clip(frames.astype(np.float32) / np.float32(255), white=1)
        np.testing.assert_allclose(self.embedded(greys), found, atol=1e-4)  # rounding of a grey, through the network

    def test_a_flow_is_embedded_as_its_picture(self) -> None:
        field = np.random.default_rng(1).normal(size=(2, 2, 64, 64)).astype(np.float32)
        seen = (picture(field[1]) * 255)[None]
        np.testing.assert_allclose(self.embedded(field), self.embedded(clip(seen)), atol=1e-4)
        assert not np.allclose(self.embedded(field), self.embedded(field, picture="components"), atol=0.01)

    def test_tokens_go_on_to_the_embedding(self) -> None:
        from mepipe.networks.clip_image import image_encoder

        net, given = image_encoder("tiny", None), clip(faces())
        whole = self.embedded(given)
        for blocks in (0, 1, 2):
            tokens = self.torch.from_numpy(self.embedded(given, cut=f"block-{blocks}"))[None]
            assert tokens.shape == (1, 17, 64)
            with self.torch.inference_mode():
                rest = net.projected(net.transformer.resblocks[blocks:](tokens))[0, 0]
            np.testing.assert_allclose(rest.numpy(), whole, atol=1e-5)

    @pytest.mark.slow
    def test_a_file_as_published_gives_clips_embedding_of_a_picture(self, tmp_path: Path, monkeypatch) -> None:
        from mepipe.networks.clip_image import SIZES, ImageEncoder
        from tests.networks import reference

        name, known = "clip-vit-b32", reference.golden("clip_vit_b32")
        with self.torch.device("meta"):
            shapes = reference.shapes(ImageEncoder(SIZES[name]))
        state = reference.filled({f"visual.{key}": shape for key, shape in shapes.items()}, gain=1.0)
        self.torch.save(state, tmp_path / weights.get(name).file)
        monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
        monkeypatch.setitem(weights.WEIGHTS, name, replace(weights.get(name), sha256=""))
        picture = clip(known["low_res_image"].repeat(8, axis=0).repeat(8, axis=1)[None])
        try:
            found = embed.compute(picture, EmbedParams())
            tokens = embed.compute(picture, EmbedParams(cut="block-9"))
        finally:
            embed._encoder.cache_clear()
        np.testing.assert_allclose(found, known["image_features"], atol=5e-5)  # ../shared/reference, section 8
        assert tokens.shape == (50, 768)
