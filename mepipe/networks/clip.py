"""CLIP (paper: Radford et al. 2021, arXiv 2103.00020) through open_clip, from OpenAI's files, and its text half alone.

open_clip's names without `-quickgelu` take the same files without a word and give other features: they are not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from mepipe.errors import UsageError
from mepipe.networks import checkpoints
from mepipe.networks.clip_image import MEAN as MEAN
from mepipe.networks.clip_image import STD as STD
from mepipe.networks.clip_parts import CONTEXT, TextEncoder

# Length of its embeddings, and its first and last token.
EMBEDDING, START, END = 512, 49406, 49407
# open_clip's names for the networks whose files `mepipe.weights` knows by these.
MODELS = {"clip-vit-b32": "ViT-B-32-quickgelu", "clip-vit-b16": "ViT-B-16-quickgelu"}
# For tests and the demo, by name only: it takes CLIP's tokens, and has no weights but random ones.
TINY: dict[str, Any] = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "patch_size": 16, "width": 64, "layers": 2, "head_width": 16},
    "text_cfg": {"width": 64, "heads": 4, "layers": 2},
}


def _weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the facts and the causal mask that OpenAI's archives hold besides."""
    facts = ("input_resolution", "context_length", "vocab_size")
    return {key: value for key, value in state.items() if key not in facts and not key.endswith("attn_mask")}


class Clip(open_clip.CLIP):
    """open_clip's CLIP: `encode_image`(images [B, 3, S, S]) and `encode_text`(ids [B, 77]) -> [B, 512], raw."""

    def accepted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """OpenAI's file, without what is no weight."""
        return _weights(state)


def build(name: str) -> Clip:
    """The network of that name with random weights, in eval mode: of `MODELS`, or `tiny`."""
    if name != "tiny" and name not in MODELS:
        msg = f"No CLIP {name!r}. There are: {', '.join(MODELS)}, tiny."
        raise UsageError(msg)
    config = TINY if name == "tiny" else open_clip.get_model_config(MODELS[name])
    return Clip(**config).eval()


def vit_b32() -> Clip:
    """CLIP ViT-B/32."""
    return build("clip-vit-b32")


def vit_b16() -> Clip:
    """CLIP ViT-B/16."""
    return build("clip-vit-b16")


def text_encoder(name: str, path: Path | None, seed: int = 0) -> TextEncoder:
    """The text half alone, in eval mode: from OpenAI's file; random, drawn from a seed, where there is no file.

    MepipeError where the file is no checkpoint of CLIP.
    """
    sizes = TINY["text_cfg"] | {"embedding": TINY["embed_dim"]} if name == "tiny" else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = TextEncoder(**sizes)
    if path is not None:
        state = made.accepted(checkpoints.read(path))
        checkpoints.fill(made, _weights(state), path, name)
    return made.eval()


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return open_clip.SimpleTokenizer()


def pieces(text: str) -> list[int]:
    """CLIP's tokens of a text, without start and end."""
    ids: list[int] = _tokenizer().encode(text)
    return ids


def tokens(texts: Sequence[str]) -> Tensor:
    """Token ids int64 [N, 77]: start, text, end, zeros. UsageError where a text is longer than fits."""
    rows = torch.zeros(len(texts), CONTEXT, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        ids = [START, *pieces(text), END]
        if len(ids) > CONTEXT:
            msg = f"{len(ids)} tokens, and CLIP reads {CONTEXT}: {text!r}. Shorten it."
            raise UsageError(msg)
        row[: len(ids)] = torch.tensor(ids)
    return rows
