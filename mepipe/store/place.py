"""Where a store lies: a folder, or a URL: object storage (`s3://`, through fsspec) or a machine reached by `ssh://`.

The few operations that the store's promises rest on, each the same everywhere: what is written appears whole or not
at all, and stays. Paths come from mepipe or were checked by it; none has `..` in it.
"""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from mepipe.errors import MepipeError, UsageError
from mepipe.store import files

if TYPE_CHECKING:
    import zarr


class PlaceError(MepipeError):
    """A place cannot be reached, or refuses what is asked: nothing is said about what lies there."""


class Place(ABC):
    """Paths are relative to the store, with `/`; those whose last part starts with a dot are private and not listed.

    Any number of threads and processes may use one. What cannot be reached raises PlaceError (a folder: OSError).
    """

    url: str

    @abstractmethod
    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """A file, or a part of it, as a slice takes it; FileNotFoundError where there is none."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """A whole file, replacing what is there: readers see the old or the new. MepipeError where it cannot be."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    @abstractmethod
    def children(self, path: str) -> list[str]:
        """Names of files and folders directly below, sorted; none where there is no such folder."""

    @abstractmethod
    def files(self, path: str) -> dict[str, int]:
        """Every file below, private ones too, by its path from there: its size in bytes."""

    @abstractmethod
    def modified(self, path: str) -> float:
        """When a file was last written: seconds since 1970 by that machine's clock."""

    @abstractmethod
    def copy(self, source: str, target: str) -> None:
        """A file under another name too."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """A file, or a folder and all below it; nothing where it is gone already."""

    @abstractmethod
    def building(self, path: str) -> Any:
        """Context manager: an empty local folder, published whole at `path` on leaving; of two makers one wins."""

    def group(self, path: str) -> zarr.Group:
        """The Zarr group there, to be read. Version 3 only: an object array of version 2 is a pickle, which may run."""
        import zarr  # takes half a second, which nobody who only reads plain chunks should pay

        from mepipe.store.zarr_store import PlaceStore

        return zarr.open_group(PlaceStore(self, path), mode="r", zarr_format=3, use_consolidated=False)


class Folder(Place):
    """A folder of this machine, or one mounted on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)
        self._checked: set[str] = set()  # folders that lie inside

    def inside(self, path: str) -> Path:
        """Where a path leads; MepipeError where that is out of the store, which may come from anybody, by a link."""
        above = path.rpartition("/")[0]
        if above not in self._checked:
            self._follow(above)
            self._checked.add(above)
        return self._follow(path) if (self.root / path).is_symlink() else self.root / path

    def _follow(self, path: str) -> Path:
        try:
            found, root = (self.root / path).resolve(), self.root.resolve()
        except RuntimeError:
            msg = f"{self.url}/{path} is a link to itself. Remove it, then run mepipe store verify."
            raise MepipeError(msg) from None
        if not found.is_relative_to(root):
            msg = f"{self.url}/{path} leads out of the store, to {found}. Put there what it leads to, if you trust it."
            raise MepipeError(msg)
        return found

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        try:
            with open(self.inside(path), "rb", opener=_open_at_once) as file:
                first, last, _ = slice(start, end).indices(os.fstat(file.fileno()).st_size)
                file.seek(first)
                return file.read(max(0, last - first))
        except (NotADirectoryError, IsADirectoryError) as error:
            raise FileNotFoundError(*error.args) from None

    def write(self, path: str, content: bytes) -> None:
        self.inside(path.rpartition("/")[0])
        files.make_folder((self.root / path).parent)
        files.write(self.root / path, content)

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def children(self, path: str) -> list[str]:
        try:
            return sorted(p.name for p in (self.root / path).iterdir() if p.name[0] != ".")
        except (FileNotFoundError, NotADirectoryError):
            return []

    def files(self, path: str) -> dict[str, int]:
        top = self.root / path
        found: dict[str, int] = {}
        for folder, _, names in os.walk(top):
            above = "" if Path(folder) == top else f"{Path(folder).relative_to(top).as_posix()}/"
            for name in names:
                with suppress(FileNotFoundError):  # it may vanish while others write
                    found[above + name] = os.stat(f"{folder}/{name}").st_size  # noqa: PTH116 - a million of them
        return found

    def modified(self, path: str) -> float:
        return (self.root / path).stat().st_mtime

    def copy(self, source: str, target: str) -> None:
        private = files.private_name(self.root / target)
        try:
            os.link(self.inside(source), private)
        except OSError:
            shutil.copyfile(self.inside(source), private)
            private.chmod(files.SHARED_FILE)
        files.flush(private)
        private.replace(self.root / target)
        files.flush((self.root / target).parent)

    def remove(self, path: str) -> None:
        self.inside(path.rpartition("/")[0])
        if (self.root / path).is_dir():
            shutil.rmtree(self.root / path, ignore_errors=True)
        else:
            (self.root / path).unlink(missing_ok=True)

    @contextmanager
    def building(self, path: str) -> Iterator[Path]:
        private = files.private_name(self.root / path)
        try:
            yield private
            files.publish(private, self.root / path)
        finally:
            shutil.rmtree(private, ignore_errors=True)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe would keep a reader waiting for ever


def at(url: str | Path) -> Place:
    """The place that a path or URL names; UsageError where there is no way to it."""
    if "://" not in str(url):
        return Folder(Path(url))
    parts = urlparse(str(url))
    if parts.scheme == "file":
        return Folder(Path(parts.path))
    if parts.password:
        msg = f"{parts.scheme}://{parts.hostname}: a password in a URL ends up in logs. Use a key (docs/sharing.md)."
        raise UsageError(msg)
    if parts.scheme in ("ssh", "sftp"):
        from mepipe.store.ssh import Ssh

        return Ssh(str(url))
    from mepipe.store.objects import SCHEMES, Objects

    if parts.scheme not in SCHEMES:
        msg = f"{url}: no way to such a place. Name a folder, ssh://host/path, or {', '.join(SCHEMES)} (a bucket)."
        raise UsageError(msg)
    return Objects(str(url))
