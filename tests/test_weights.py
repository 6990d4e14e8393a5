"""Named weights: located, checked by digest, added whole or not at all, fetched."""

from __future__ import annotations

import hashlib
import http.server
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from mepipe import networks, weights
from mepipe.errors import MepipeError, UsageError

NAME = "raft-small"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder."""
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def checkpoint(path: Path, seed: int = 0) -> str:
    """A checkpoint of RAFT small with random weights: its SHA-256."""
    torch.manual_seed(seed)
    torch.save(networks.build("raft_small").state_dict(), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that, for the test, is the published one: so many digits of its digest are in the table."""
    sha256 = checkpoint(tmp_path / "downloaded.pth")
    monkeypatch.setitem(weights.WEIGHTS, NAME, replace(weights.WEIGHTS[NAME], sha256=sha256[:8]))
    return tmp_path / "downloaded.pth"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served over HTTP on this machine, from which the weights are fetched as `weights.pth`."""
    served = tmp_path / "served"
    served.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        url = f"http://127.0.0.1:{running.server_port}/weights.pth"
        monkeypatch.setitem(weights.WEIGHTS, NAME, replace(weights.WEIGHTS[NAME], url=url))
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield served
        running.shutdown()


@pytest.mark.parametrize("name", sorted(weights.WEIGHTS))
def test_every_name_is_of_a_network_and_says_where_from_and_under_which_licence(name: str) -> None:
    known = weights.get(name)
    assert known.name == name
    assert known.network in networks.NETWORKS or known.file.endswith(".task"), "what no network reads is MediaPipe's"
    assert known.licence
    assert known.origin
    assert Path(known.file).name == known.file
    assert known.sha256 or not known.url, "what is downloaded is checked"


@pytest.mark.parametrize("name", sorted(n for n, known in weights.WEIGHTS.items() if not known.shipped))
def test_missing_weights_say_which_file_from_where_and_what_to_type(name: str, folder: Path) -> None:
    with pytest.raises(UsageError) as error:
        weights.locate(name)
    known = weights.get(name)
    for part in (known.file, str(folder), known.origin, known.licence, f"mepipe weights add {name} FILE"):
        assert part in str(error.value)
    assert (f"mepipe weights fetch {name}" in str(error.value)) == bool(known.url)
    assert not folder.exists(), "looking changes nothing"


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'raft-small'"):
        weights.locate("raft-smal")


def test_what_is_added_is_found_loads_and_has_its_digest(folder: Path, published: Path) -> None:
    assert weights.add(NAME, published) == weights.locate(NAME) == folder / weights.get(NAME).file
    assert weights.digest(NAME) == hashlib.sha256(published.read_bytes()).hexdigest()
    assert [file.name for file in folder.iterdir()] == [weights.get(NAME).file]
    module = weights.module(NAME)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    expected = torch.load(published, weights_only=True)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in module.state_dict().items())
    assert weights.module(NAME) is module


def test_a_file_put_in_place_of_another_is_noticed(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(weights.WEIGHTS, NAME, replace(weights.WEIGHTS[NAME], sha256=""))
    digests, modules = [], []
    for seed in (1, 2):
        checkpoint(tmp_path / "a.pth", seed)
        weights.add(NAME, tmp_path / "a.pth")
        digests.append(weights.digest(NAME))
        modules.append(weights.module(NAME))
    assert digests[0] != digests[1]
    first, second = (next(iter(module.state_dict().values())) for module in modules)
    assert not torch.equal(first, second)


def test_a_file_that_is_not_the_published_one_is_refused_with_both_digests(folder: Path, tmp_path: Path) -> None:
    sha256 = checkpoint(tmp_path / "mine.pth")
    with pytest.raises(MepipeError, match=f"{sha256}.*begins with 01064c6d"):
        weights.add(NAME, tmp_path / "mine.pth")
    assert not folder.exists()
    folder.mkdir()
    (tmp_path / "mine.pth").rename(folder / weights.get(NAME).file)
    for use in (weights.locate, weights.digest, weights.module):
        with pytest.raises(MepipeError, match=f"{sha256}.*begins with 01064c6d"):
            use(NAME)


def test_a_checkpoint_of_another_network_is_not_added(folder: Path, published: Path) -> None:
    with pytest.raises(MepipeError, match="is no checkpoint of flownet2c"):
        weights.add("flownet2c", published)
    with pytest.raises(UsageError, match="No checkpoint file at none"):
        weights.add(NAME, Path("none"))
    assert not folder.exists()


def test_a_disk_that_fills_up_while_adding_leaves_nothing_behind(folder: Path, published: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            weights.add(NAME, published)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []


def test_own_weights_in_the_folder_are_used_before_those_that_come_with_mepipe(folder: Path) -> None:
    folder.mkdir()
    assert weights.find("magnet") != folder / "magnet.safetensors"
    (folder / "magnet.safetensors").touch()
    assert weights.find("magnet") == folder / "magnet.safetensors"


def test_what_is_fetched_is_what_was_published(folder: Path, published: Path, server: Path) -> None:
    published.rename(server / "weights.pth")
    assert weights.fetch(NAME) == weights.locate(NAME)
    assert weights.locate(NAME).read_bytes() == (server / "weights.pth").read_bytes()
    assert len(list(folder.iterdir())) == 1


def test_what_arrives_otherwise_than_published_is_not_kept(folder: Path, published: Path, server: Path) -> None:
    (server / "weights.pth").write_bytes(published.read_bytes()[:-1])
    with pytest.raises(MepipeError, match=r"weights\.pth is not the published"):
        weights.fetch(NAME)
    assert list(folder.iterdir()) == []


def test_a_download_that_fails_says_what_to_do(folder: Path, published: Path, server: Path) -> None:
    with pytest.raises(MepipeError, match=f"could not be downloaded.*404.*mepipe weights add {NAME} FILE"):
        weights.fetch(NAME)
    assert list(folder.iterdir()) == []


def test_what_has_no_direct_download_says_where_the_licence_is(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no direct download.*NVIDIA/flownet2-pytorch"):
        weights.fetch("flownet2")
    assert not folder.exists()
