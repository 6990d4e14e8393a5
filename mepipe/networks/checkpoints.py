"""Checkpoint files: tensors by key, read without executing anything, and filled into a network strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mepipe.errors import MepipeError, UsageError
from mepipe.networks import torchscript

NESTINGS = ("state_dict", "model_state_dict", "model_state", "model")
PREFIXES = ("module.", "backbone.")
# How the files begin: a ZIP archive since Torch 1.6, before that a pickled magic number, as FlowNet 2.0's are.
_ZIP, _LEGACY = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def read(path: Path | str) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by key, on the CPU, floats as float32.

    The file is a safetensors or Torch file, told apart by content, not by name. A Torch file is a state dict, or holds
    one under one of `NESTINGS`, or is a TorchScript archive. A prefix of `PREFIXES` that all keys have is taken away.

    UsageError where there is no such file; MepipeError where it is no checkpoint, or could only be read by executing
    what is in it.
    """
    file = Path(path)
    if not file.is_file():
        msg = f"No checkpoint file at {file}. Correct the path."
        raise UsageError(msg)
    with file.open("rb") as opened:
        start = opened.read(16)
    if start[8:9] == b"{":  # after the length of the header in 8 bytes
        state = _safetensors(file)
    elif start.startswith(_ZIP) and torchscript.top(file):
        state = torchscript.read(file)
    elif start.startswith((_ZIP, _LEGACY)):
        state = _state_dict(_torch(file), file)
    else:
        msg = (
            f"{file} is no checkpoint: neither a Torch nor a safetensors file. Was the download complete, and no page?"
        )
        raise MepipeError(msg)
    for prefix in (*PREFIXES, *PREFIXES):  # they may be nested in either order
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in state.items()}


def _safetensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        msg = f"{file} is a damaged safetensors file ({error}). Get it again."
        raise MepipeError(msg) from error


def _torch(file: Path) -> Any:
    try:
        with file.open("rb") as opened:  # given the name, newer Torch goes by its ending
            return torch.load(opened, map_location="cpu", weights_only=True)
    except Exception as error:  # on a bad file Torch raises whatever it stumbled over
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            msg = (
                f"{file} holds more than tensors: a {named[1]}, and reading that would execute what is in the file. "
                "Where you trust its source, save the tensors alone, and use that file: "
                "torch.save(torch.load(FILE, weights_only=False)['state_dict'], NEW)."
            )
            raise MepipeError(msg) from error
        reason = str(error).partition("\n")[0].partition(". ")[0][:120]
        msg = f"{file} is no checkpoint that can be read ({type(error).__name__}: {reason}). Get it again."
        raise MepipeError(msg) from error


def _state_dict(content: Any, file: Path) -> dict[str, torch.Tensor]:
    """The state dict in what a Torch file held."""
    nested = [content[key] for key in NESTINGS if isinstance(content, Mapping) and key in content]
    state = next((inner for inner in nested if isinstance(inner, Mapping)), content)
    if not isinstance(state, Mapping) or not state or not all(map(_is_entry, state, state.values())):
        held = ", ".join(map(str, list(state)[:5])) if isinstance(state, Mapping) else type(state).__name__
        msg = (
            f"{file} holds no state dict: keys with tensors at the top, or under {', '.join(NESTINGS)}. "
            f"It holds: {held or 'nothing'}. Save the network's state_dict()."
        )
        raise MepipeError(msg)
    return dict(state)


def _is_entry(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, torch.Tensor)


def fill(module: nn.Module, state: Mapping[str, torch.Tensor], source: Path | str, network: str) -> None:
    """Put tensors into a network, in place: every key, of its shape, and none besides.

    source, network: the file and the network's name, for the message. MepipeError, one line, says how many keys are
    missing, unknown or of another shape, and which are the first.
    """
    expected = module.state_dict()
    missing = [key for key in expected if key not in state]
    unknown = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {list(state[key].shape)} for {list(tensor.shape)}"
        for key, tensor in expected.items()
        if key in state and state[key].shape != tensor.shape
    ]
    found = {"missing": missing, "unknown": unknown, "of another shape": misshapen}
    wrong = [
        f"{len(keys)} {what} ({', '.join(keys[:2])}{', ...' * (len(keys) > 2)})" for what, keys in found.items() if keys
    ]
    if wrong:
        msg = (
            f"{source} is no checkpoint of {network}: of {len(expected)} keys {'; '.join(wrong)}. "
            f"Give the file of {network}, or name the network that it is of."
        )
        raise MepipeError(msg)
    module.load_state_dict(dict(state))
