"""Checkpoint files: however nested and prefixed, read; whatever else, refused in one line, and never executed."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mepipe import networks
from mepipe.errors import MepipeError, UsageError
from mepipe.networks import checkpoints


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return network().state_dict()


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("nesting", ["", *checkpoints.NESTINGS])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone.", "backbone.module."])
def test_nestings_and_prefixes_of_public_files_are_undone(nesting, prefix, state, tmp_path):
    content = {prefix + key: tensor for key, tensor in state.items()}
    torch.save({"epoch": 3, nesting: content, "best_EPE": 0.5} if nesting else content, tmp_path / "a.tar")
    assert same(checkpoints.read(tmp_path / "a.tar"), state)


def test_a_prefix_that_some_keys_lack_is_part_of_the_names(state, tmp_path):
    content = {f"module.{key}" if key.startswith("0.") else key: tensor for key, tensor in state.items()}
    torch.save(content, tmp_path / "a.pth")
    assert same(checkpoints.read(tmp_path / "a.pth"), content)


def test_the_format_is_known_by_content_not_by_name(state, tmp_path):
    torch.save({"state_dict": state}, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    torch.save(state, tmp_path / "new.safetensors")
    save_file(state, tmp_path / "safe.pth")
    for file in tmp_path.iterdir():
        assert same(checkpoints.read(file), state), file


class _Python2(pickle._Pickler):
    """Pickles a state dict as Python 2.7 with Torch 0.2 did, with which FlowNet 2.0's weights were converted: byte
    strings, Torch's first way to rebuild a tensor, storages that were on a GPU.
    """

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _string(self, text):
        self.write(b"U" + bytes([len(text)]) + text.encode())

    dispatch[str] = _string

    def persistent_id(self, value):
        if isinstance(value, _Storage):
            return ("storage", torch.FloatStorage, value.key, "cuda:0", value.size, None)
        return None

    def reducer_override(self, value):
        if isinstance(value, torch.Tensor):
            storage = _Storage(str(id(value)), value.numel())
            return torch._utils._rebuild_tensor, (storage, 0, tuple(value.shape), value.stride())
        return NotImplemented


class _Storage:
    def __init__(self, key, size):
        self.key, self.size = key, size


def test_the_first_torch_under_python_2_wrote_checkpoints_too(state, tmp_path):
    state = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    content = {"arch": "FlowNet2", "epoch": 0, "state_dict": OrderedDict(state), "best_EPE": 1e10}
    stored = {str(id(tensor)): tensor for tensor in state.values()}
    with (tmp_path / "a.pth.tar").open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, system, content, list(stored)):
            _Python2(file, 2).dump(part)
        for tensor in stored.values():
            file.write(struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes())
    assert same(checkpoints.read(tmp_path / "a.pth.tar"), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_and_integers_stay(dtype, state, tmp_path):
    kept = {key: tensor.to(dtype) if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    torch.save(kept, tmp_path / "a.pth")
    found = checkpoints.read(tmp_path / "a.pth")
    assert found["1.num_batches_tracked"].dtype == torch.int64
    assert {t.dtype for k, t in found.items() if k != "1.num_batches_tracked"} == {torch.float32}
    torch.testing.assert_close(found["0.weight"], kept["0.weight"].float(), atol=0, rtol=0)


def test_a_file_fills_its_network_and_no_gradient_history_comes_along(tmp_path):
    torch.manual_seed(2)
    other = networks.build("raft_small")
    torch.save({"model": other.state_dict()}, tmp_path / "a.pth")
    found = networks.load("raft_small", tmp_path / "a.pth")
    assert same(found.state_dict(), other.state_dict())
    assert not found.training


def test_every_wrong_key_is_counted_and_the_first_named_in_one_line(state, tmp_path):
    module, before = network(), {key: tensor.clone() for key, tensor in state.items()}
    module.load_state_dict(before)
    state = {key: tensor + 1 for key, tensor in state.items() if not key.startswith("2.")}
    state |= {"0.weight": torch.zeros(4, 12, 3, 3), "head": torch.zeros(1)}
    with pytest.raises(MepipeError) as error:
        checkpoints.fill(module, state, "some/file.pth", "toy")
    message = str(error.value)
    for part in ("some/file.pth", "toy", "2 missing (2.weight, 2.bias)", "1 unknown (head)", "of 9 keys"):
        assert part in message
    assert "1 of another shape (0.weight [4, 12, 3, 3] for [4, 3, 3, 3])" in message
    assert "\n" not in message
    assert same(module.state_dict(), before), "a part of the file was filled in"


def test_of_many_wrong_keys_two_are_named(state):
    with pytest.raises(MepipeError, match=r"9 missing \(0\.weight, 0\.bias, \.\.\.\)"):
        checkpoints.fill(network(), {}, "a.pth", "toy")


class _Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_executed(zipped, state, tmp_path):
    content = {"state_dict": state, "optimizer": _Trap(tmp_path / "executed")}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(MepipeError, match=r"a\.pth holds more than tensors: a posix\.mkdir") as error:
        checkpoints.read(tmp_path / "a.pth")
    assert not (tmp_path / "executed").exists()
    assert "\n" not in str(error.value)


def _cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def make_page(file, state):
    file.write_text("<!DOCTYPE html><title>Quota exceeded</title>")


def make_empty(file, state):
    file.touch()


def make_foreign_zip(file, state):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme", "no weights")


def make_list(file, state):
    torch.save(list(state.values()), file)


def make_optimizer(file, state):
    torch.save({"epoch": 3, "lr": 0.1}, file)


def make_cut_zip(file, state):
    torch.save(state, file)
    _cut(file, 1500)


def make_cut_legacy(file, state):
    torch.save(state, file, _use_new_zipfile_serialization=False)
    _cut(file, 500)


def make_cut_safetensors(file, state):
    save_file(state, file)
    _cut(file, 700)


@pytest.mark.parametrize(
    "make",
    [
        make_page,
        make_empty,
        make_foreign_zip,
        make_list,
        make_optimizer,
        make_cut_zip,
        make_cut_legacy,
        make_cut_safetensors,
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line_that_names_it(make, state, tmp_path):
    make(tmp_path / "a.pth", state)
    with pytest.raises(MepipeError, match=r"a\.pth (is no checkpoint|is a damaged|holds no state dict)") as error:
        checkpoints.read(tmp_path / "a.pth")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"No checkpoint file at .*none\.pth"):
        checkpoints.read(tmp_path / "none.pth")
