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


def filled(shapes: Mapping[str, tuple[int, ...]], gain: float) -> dict[str, torch.Tensor]:
    """Weights by the rule of section 1, as far as networks of convolutions with biases need it."""
    state = {}
    for key, shape in shapes.items():
        z = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
        z = 0.05 * z if len(shape) == 1 else gain * z / np.sqrt(z.size / shape[0])
        state[key] = torch.from_numpy(z.astype(np.float32))
    return state


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
