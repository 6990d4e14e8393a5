"""One suite that every place passes: a folder, object storage, a machine reached by SSH."""

from __future__ import annotations

import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr

from mepipe import store
from mepipe.errors import MepipeError, UsageError
from mepipe.store.place import Folder, Place, PlaceError, at
from tests import remotes
from tests.remotes import Sshd, Tap, s3, sshd  # noqa: F401 - fixtures


@pytest.fixture(params=["folder", "s3", "ssh"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where nothing is yet."""
    if request.param == "s3":
        return f"{remotes.bucket(request.getfixturevalue('s3'))}/some/features.zarr"
    if request.param == "ssh":
        return request.getfixturevalue("sshd").url(tmp_path / "there" / "features.zarr")
    return str(tmp_path / "features.zarr")


@pytest.fixture
def place(url: str) -> Place:
    return at(url)


def test_what_is_written_is_read_whole_and_in_part(place: Place) -> None:
    content = bytes(range(256)) * 300  # several answers of an SFTP server
    place.write("a/b/file", content)
    assert place.read("a/b/file") == content
    assert place.read("a/b/file", 10, 300) == content[10:300]
    assert place.read("a/b/file", -100) == content[-100:]
    assert place.read("a/b/file", 70000) == content[70000:]
    place.write("a/b/file", b"")
    assert place.read("a/b/file") == b""


def test_what_is_not_there(place: Place) -> None:
    for path in ("", "file", "a/b"):
        assert not place.exists(path)
        assert place.children(path) == []
        assert place.files(path) == {}
        place.remove(path)
    with pytest.raises(FileNotFoundError):
        place.read("file")


def test_listing_passes_over_what_is_private_and_sees_what_others_write(place: Place, url: str) -> None:
    place.write("a/one", b"1")
    assert place.children("a") == ["one"]
    other = at(url)
    other.write("a/.private", b"22")
    other.write("a/two/deep", b"333")
    other.write("ab/three", b"4444")
    assert place.children("a") == ["one", "two"]
    assert place.children("") == ["a", "ab"]
    assert place.files("a") == {"one": 1, ".private": 2, "two/deep": 3}
    assert place.exists("a")
    assert place.exists("a/two/deep")
    assert not place.exists("a/tw")


def test_copying_removing_and_time(place: Place) -> None:
    place.write("a/one", b"old")
    place.copy("a/one", "a/two")
    place.write("a/one", b"new")
    assert (place.read("a/one"), place.read("a/two")) == (b"new", b"old")
    assert abs(place.modified("a/two") - place.modified("a/one")) < 60
    place.remove("a/one")
    assert place.children("a") == ["two"]
    place.remove("a")
    assert not place.exists("a")


def test_a_folder_is_published_whole_and_of_two_makers_one_wins(place: Place) -> None:
    place.write("other", b"")
    with place.building("made") as mine:
        (mine / "sub").mkdir(parents=True)
        (mine / "sub" / "file").write_bytes(b"mine")
        (mine / "zarr.json").write_bytes(b"{}")
        assert not place.exists("made")
        with place.building("made") as theirs:
            (theirs / "sub").mkdir(parents=True)
            (theirs / "sub" / "file").write_bytes(b"mine")  # of the same name, hence the same
            (theirs / "zarr.json").write_bytes(b"{}")
    assert place.files("made") == {"sub/file": 4, "zarr.json": 2}
    assert place.files("") == {"other": 0, "made/sub/file": 4, "made/zarr.json": 2}  # nothing is left behind


def test_what_fails_while_being_made_leaves_nothing(place: Place) -> None:
    place.write("other", b"")
    with pytest.raises(ZeroDivisionError):
        _half_made(place)
    assert place.files("") == {"other": 0}


def test_zarr_reads_there_and_writes_nothing(place: Place) -> None:
    store.create(place.url)
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    with place.building("group") as private:
        made = zarr.open_group(private, mode="w", zarr_format=3)
        made.create_array("data", shape=(4, 6), chunks=(1, 6), dtype="float32", attributes={"units": "px"})[:] = values
    group = place.group("group")
    np.testing.assert_array_equal(group["data"][:], values)
    assert [name for name, _ in group.members()] == ["data"]
    assert group["data"].attrs["units"] == "px"
    with pytest.raises((ValueError, MepipeError)):  # opened for reading
        group["data"][0] = 1
    with pytest.raises(FileNotFoundError):
        place.group("nothing")


def test_version_2_of_zarr_is_not_read_since_its_objects_are_pickles(place: Place) -> None:
    place.write("old/.zgroup", b'{"zarr_format": 2}')
    with pytest.raises(FileNotFoundError):
        place.group("old")


def test_many_threads_use_one_place(place: Place) -> None:
    contents = {f"a/{i}": bytes([i]) * (1000 * i + 1) for i in range(24)}
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(place.write, contents, contents.values()))
        assert dict(zip(contents, pool.map(place.read, contents), strict=True)) == contents
    assert len(place.children("a")) == 24


def test_a_place_goes_to_other_processes(place: Place) -> None:
    place.write("a", b"1")
    assert pickle.loads(pickle.dumps(place)).read("a") == b"1"
    child = os.fork()  # worse than what mepipe does: connections would be shared
    if not child:
        os._exit(0 if at(place.url).read("a") == b"1" else 1) if isinstance(place, Folder) else os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert place.read("a") == b"1"


def test_a_writer_that_ends_at_any_moment_leaves_old_or_new(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("a/file", b"old")
    if isinstance(place, Folder):
        monkeypatch.setattr(Path, "replace", _broken)
    elif place.url.startswith("s3"):
        pytest.skip("an object is written by one request")
    else:
        import paramiko

        monkeypatch.setattr(paramiko.SFTPClient, "posix_rename", _broken)
    with pytest.raises(MepipeError, match="cannot be written"):
        place.write("a/file", b"new")
    monkeypatch.undo()
    assert place.files("a") == {"file": 3}


def _half_made(place: Place) -> None:
    with place.building("made") as private:
        private.mkdir(exist_ok=True)
        (private / "file").write_bytes(b"half")
        raise ZeroDivisionError


def _broken(*args: object) -> None:
    msg = "no space left"
    raise OSError(28, msg)


def test_over_ssh_a_colleagues_umask_locks_nobody_out(sshd: Sshd, tmp_path: Path) -> None:  # noqa: F811
    at(sshd.url(tmp_path / "team")).write("a/file", b"1")
    assert stat.S_IMODE((tmp_path / "team" / "a").stat().st_mode) == 0o2775
    assert stat.S_IMODE((tmp_path / "team" / "a" / "file").stat().st_mode) == 0o444


def test_a_host_that_is_not_known_is_refused(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (tmp_path / ".ssh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PlaceError, match=r"known_hosts.*Connect once with ssh") as caught:
        at(sshd.url(tmp_path) + "/other").read("a")
    assert "\n" not in str(caught.value)


def test_a_key_that_is_not_accepted(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text((sshd.home / ".ssh" / "known_hosts").read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PlaceError, match="Check your key"):
        at(sshd.url(tmp_path) + "/more").exists("a")


def test_names_of_the_ssh_configuration(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (tmp_path / ".ssh").mkdir()
    for name in ("known_hosts", "id_ed25519"):
        (tmp_path / ".ssh" / name).write_text((sshd.home / ".ssh" / name).read_text())
    (tmp_path / ".ssh" / "my_key").write_text((sshd.home / ".ssh" / "id_ed25519").read_text())
    (tmp_path / ".ssh" / "config").write_text(
        f"Host team\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {tmp_path}/.ssh/my_key\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    place = at(f"ssh://team{tmp_path}/named")
    place.write("a", b"1")
    assert (tmp_path / "named" / "a").read_bytes() == b"1"


def test_a_broken_connection_is_made_again(sshd: Sshd, tmp_path: Path) -> None:  # noqa: F811
    from mepipe.store import ssh_host

    place = at(sshd.url(tmp_path) + "/broken")
    place.write("a", b"1")
    ssh_host.host(place.url, os.getpid()).channel().get_channel().get_transport().close()
    assert place.read("a") == b"1"


def test_a_server_that_is_not_there(s3: Tap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    with pytest.raises(PlaceError, match=r"NoSuchBucket|does not exist|cannot be written"):
        at("s3://no-such-bucket-here/x").write("a", b"1")
    for url in ("ssh://127.0.0.1:9/x",):
        with pytest.raises(PlaceError, match="cannot be reached"):
            at(url).exists("a")


def test_without_credentials_there_is_one_line(s3: Tap, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    url = remotes.bucket(s3)
    for name in remotes.KEYS:
        monkeypatch.delenv(name)
    with pytest.raises(PlaceError, match="Check your keys") as caught:
        at(url).write("a", b"1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "s3://", "ssh:///x", "ssh://host", "ssh://u:secret@host/x", "ssh://-oProxyCommand=x/y"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        at(url).exists("a")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
