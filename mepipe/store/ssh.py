"""A place on a machine reached by SSH: SFTP is all it needs there."""

from __future__ import annotations

import os
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote, urlparse

from mepipe.errors import UsageError
from mepipe.store import files
from mepipe.store.place import Folder, Place, PlaceError
from mepipe.store.ssh_host import host as host_of

T = TypeVar("T")


class Ssh(Place):
    """A folder there. `ssh://host/path` is absolute, `ssh://host/~/path` in the user's own folder."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        path = unquote(urlparse(self.url).path)
        self.root = path[3:] if path.startswith("/~/") else path
        if not self.root:
            msg = f"{url}: names no folder there. Say ssh://user@host/path/features.zarr"
            raise UsageError(msg)

    def _at(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root

    def _do(self, path: str, what: str, action: Callable[[Any], T]) -> T:
        """Do something with a channel, a second time where the connection broke; FileNotFoundError passes."""
        import paramiko

        host = host_of(self.url, os.getpid())
        for attempt in (1, 2):
            try:
                return action(host.channel())
            except FileNotFoundError:
                raise
            except (paramiko.AuthenticationException, paramiko.BadHostKeyException, PermissionError) as error:
                raise self._told(path, what, error) from error
            except (paramiko.SSHException, EOFError, OSError) as error:
                refused = isinstance(error, OSError) and error.errno is None and str(error) == "Failure"
                host.drop()
                if attempt == 2 or refused:
                    raise self._told(path, what, error) from error
            except Exception as error:  # a configuration or a key that paramiko cannot read
                raise self._told(path, what, error) from error
        raise AssertionError

    def _told(self, path: str, what: str, error: BaseException) -> PlaceError:
        reason = " ".join(str(error).split()) or "the connection was closed"
        if "not found in known_hosts" in reason:
            advice = "Connect once with ssh, which shows you its key"
        elif isinstance(error, PermissionError) or "uthenticat" in type(error).__name__ + reason:
            advice = "Check your key and what it allows"
        elif reason == "Failure":
            advice = "Check free space and permission there"
        else:
            advice = "Check the address and the connection, then run again"
        where = f"{self.url}/{path}".rstrip("/")
        return PlaceError(f"{where}: cannot be {what} ({type(error).__name__}: {reason}). {advice} (docs/sharing.md).")

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        def action(sftp: Any) -> bytes:
            with sftp.open(self._at(path), "rb") as file:
                size = file.stat().st_size
                first, last, _ = slice(start, end).indices(size)
                if (first, last) == (0, size):
                    file.prefetch(size)  # all requests at once: one after the other each waits for its answer
                file.seek(first)
                content: bytes = file.read(max(0, last - first))
                return content

        return self._do(path, "read", action)

    def write(self, path: str, content: bytes) -> None:
        def action(sftp: Any) -> None:
            final = PurePosixPath(self._at(path))
            private = f"{final.parent}/.{final.name}.{uuid.uuid4().hex}.partial"
            try:
                try:
                    self._upload(sftp, private, content)
                except FileNotFoundError:
                    self._make_folder(sftp, final.parent)
                    self._upload(sftp, private, content)
                sftp.posix_rename(private, str(final))
            except Exception:
                with suppress(Exception):
                    sftp.remove(private)
                raise

        try:
            self._do(path, "written", action)
        except FileNotFoundError as error:
            raise self._told(path, "written", error) from error

    def _upload(self, sftp: Any, path: str, content: bytes) -> None:
        from paramiko.sftp import CMD_EXTENDED

        with sftp.open(path, "wb") as file:
            file.set_pipelined(True)
            file.write(content)
            file.set_pipelined(False)
            if file.stat().st_size != len(content):  # waits for every answer
                msg = "Failure"
                raise OSError(msg)
            file.chmod(files.SHARED_FILE)
            with suppress(OSError):  # a server that has no such extension
                sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)

    def _make_folder(self, sftp: Any, folder: PurePosixPath) -> None:
        for one in reversed([folder, *folder.parents]):
            try:
                sftp.stat(str(one))
            except FileNotFoundError:
                with suppress(OSError):  # another was first
                    sftp.mkdir(str(one))
                    sftp.chmod(str(one), files.SHARED_FOLDER)

    def exists(self, path: str) -> bool:
        try:
            self._do(path, "reached", lambda sftp: sftp.stat(self._at(path)))
        except FileNotFoundError:
            return False
        return True

    def children(self, path: str) -> list[str]:
        try:
            names = self._do(path, "listed", lambda sftp: sftp.listdir(self._at(path)))
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name[:1] != "." and "/" not in name)

    def files(self, path: str) -> dict[str, int]:
        def walk(sftp: Any, below: str) -> Iterator[tuple[str, int]]:
            for entry in sftp.listdir_attr(self._at(f"{path}/{below}".strip("/"))):
                name = f"{below}/{entry.filename}".lstrip("/")
                if "/" in entry.filename or entry.filename in (".", ".."):
                    continue  # no server that means well says so
                if stat.S_ISDIR(entry.st_mode):
                    yield from walk(sftp, name)
                elif stat.S_ISREG(entry.st_mode):
                    yield name, entry.st_size

        try:
            return self._do(path, "listed", lambda sftp: dict(walk(sftp, "")))
        except FileNotFoundError:
            return {}

    def modified(self, path: str) -> float:
        return float(self._do(path, "read", lambda sftp: sftp.stat(self._at(path))).st_mtime)

    def copy(self, source: str, target: str) -> None:
        self.write(target, self.read(source))

    def remove(self, path: str) -> None:
        def walk(sftp: Any, one: str) -> None:
            if stat.S_ISDIR(sftp.lstat(one).st_mode):
                for name in sftp.listdir(one):
                    walk(sftp, f"{one}/{name}")
                sftp.rmdir(one)
            else:
                sftp.remove(one)

        with suppress(FileNotFoundError):
            self._do(path, "removed", lambda sftp: walk(sftp, self._at(path)))

    @contextmanager
    def building(self, path: str) -> Iterator[Path]:
        """Made in a private folder there and renamed, which fails where another was first."""
        final = PurePosixPath(path)
        private = f"{final.parent}/.{final.name}.{uuid.uuid4().hex}.partial"
        with tempfile.TemporaryDirectory(prefix="mepipe-") as name:
            yield Path(name) / "new"
            made = Folder(Path(name) / "new")
            try:
                for part in made.files(""):
                    self.write(f"{private}/{part}", made.read(part))
                try:
                    self._do(path, "written", lambda sftp: sftp.rename(self._at(private), self._at(path)))
                except (PlaceError, FileNotFoundError):  # gone: renamed just before the connection broke
                    if not self.exists(path):
                        raise
            finally:
                self.remove(private)
