"""The reference facts of ../shared/reference: key lists, goldens, and the rule that fills a network's weights."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import SHARED

FOLDER = SHARED / "reference"


def keys(name: str) -> list[tuple[str, tuple[int, ...]]]:
    """The keys and shapes of the public network's state dict."""
    return [(key, tuple(shape)) for key, shape, _ in json.loads(_file("keys", f"{name}.json").read_text())]


def golden(name: str) -> Mapping[str, np.ndarray]:
    """Inputs and outputs of the public network."""
    return np.load(_file("golden", f"{name}.npz"))


def _file(folder, name):
    path = FOLDER / folder / name
    if not path.exists():
        pytest.skip(f"needs {name} of ../shared/reference/{folder}")
    return path


_SMALL = ("positional_embedding", "pos_embed", "cls_token", "temporal_cls_token")


def filled(shapes: Mapping[str, tuple[int, ...]], gain: float, volumes: float = 1.0) -> dict[str, torch.Tensor]:
    """Weights by the rule of section 1. volumes: what the gain is multiplied by for tensors of 5 dimensions."""
    state = {}
    for key, shape in shapes.items():
        last = key.rpartition(".")[2]
        if last == "num_batches_tracked":
            state[key] = torch.tensor(0)
            continue
        z = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
        if not shape:
            z = np.log(100.0)
        elif last == "running_mean":
            z = 0.1 * z
        elif last == "running_var":
            z = np.exp(0.1 * z)
        elif last in _SMALL or key.endswith("token_embedding.weight"):
            z = 0.5 * z
        elif len(shape) == 1:
            z = 1 + 0.1 * z if last == "weight" else 0.05 * z
        else:
            z = (gain * volumes if len(shape) == 5 else gain) * z / np.sqrt(z.size / shape[0])
        state[key] = torch.from_numpy(np.asarray(z, dtype=np.float32))
    return state


def blocky(low: np.ndarray, mean: object, std: object) -> torch.Tensor:
    """The image [1, 3, H, W] or clip [1, 3, T, H, W] of section 2, normalised, from low resolution [..., y, x, 3]."""
    large = low.repeat(8, axis=-3).repeat(8, axis=-2).astype(np.float32)
    normed = (large / 255 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.moveaxis(normed, -1, 0))[None]


# Names of goldens, and of the networks that they are of
CLIPS = {"clip_vit_b32": "clip-vit-b32", "clip_vit_b16": "clip-vit-b16"}


def clip_image(known: Mapping[str, np.ndarray]) -> torch.Tensor:
    """The image of a golden of CLIP, normalised as CLIP takes it."""
    from mepipe.networks.clip_image import MEAN, STD

    return blocky(known["low_res_image"], MEAN, STD)


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of weights as section 1 has it: keys in order, each with its tensor's bytes."""
    whole = hashlib.sha256()
    for key in sorted(state):
        whole.update(key.encode())
        whole.update(state[key].numpy().astype("<f4").tobytes())
    return whole.hexdigest()


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The keys and shapes of a network's state dict."""
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
