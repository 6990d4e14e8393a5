"""TorchScript archives, as OpenAI published CLIP: the tensors in them, without running the program in them.

`torch.jit.load` would do that. Its archive is a ZIP with a pickle of the modules' attributes, `data.pkl`, and a file of
numbers for each storage, `data/N`. Of what a pickle may call, only what makes tensors, lists and dictionaries is here.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mepipe.errors import MepipeError

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Object:
    """A module of any class: what it holds, by name."""

    def __setstate__(self, state: Any) -> None:
        self.held = state if isinstance(state, dict) else {}


def _strided(storage: Tensor, offset: int, size: Any, stride: Any, *rest: Any) -> Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _listed(*args: Any) -> Any:
    return args[0]


_CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _strided,
    ("torch.jit._pickle", "restore_type_tag"): _listed,
    **{("torch.jit._pickle", f"build_{kind}list"): _listed for kind in ("int", "tensor", "double", "bool")},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, top: str) -> None:
        super().__init__(archive.open(f"{top}/data.pkl"))
        self.archive, self.top = archive, top

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "__torch__":
            return _Object
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in _CALLS:
            return _CALLS[module, name]
        msg = f"a {module}.{name}"
        raise pickle.UnpicklingError(msg)

    def persistent_load(self, pid: Any) -> Tensor:
        _, dtype, key, *_ = pid
        return torch.frombuffer(bytearray(self.archive.read(f"{self.top}/data/{key}")), dtype=dtype)


def top(file: Path) -> str | None:
    """The folder within the archive that all is in; None where the file is no TorchScript archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return None
    folder = next((name.removesuffix("/data.pkl") for name in names if name.endswith("/data.pkl")), None)
    return folder if f"{folder}/constants.pkl" in names else None


def read(file: Path) -> dict[str, Tensor]:
    """The tensors that the archive's modules hold, by dotted name.

    MepipeError where it is damaged, or could only be read by executing what is in it.
    """
    folder = top(file)
    try:
        with zipfile.ZipFile(file) as archive:
            root = _Unpickler(archive, folder or "").load()
    except Exception as error:  # on a bad pickle anything may be raised
        msg = f"{file} is no TorchScript archive that can be read ({type(error).__name__}: {error}). Get it again."
        raise MepipeError(msg) from error
    found: dict[str, Tensor] = {}
    _collect(root, "", found)
    return found


def _collect(module: Any, prefix: str, found: dict[str, Tensor]) -> None:
    for name, value in getattr(module, "held", {}).items():
        if isinstance(value, Tensor):
            found[f"{prefix}{name}"] = value
        elif isinstance(value, _Object):
            _collect(value, f"{prefix}{name}.", found)
