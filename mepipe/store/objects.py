"""A place in object storage, through fsspec: an object is there whole or not at all, and stays once confirmed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mepipe.errors import UsageError
from mepipe.store.place import Folder, Place, PlaceError

SCHEMES = ("s3", "gs", "az")  # tested: s3. Of the others fsspec says that they behave alike


@cache
def _system(url: str, process: int) -> tuple[Any, str]:
    """fsspec's file system, and the path in it: one for each process, since connections do not survive a fork."""
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)  # others write here while we look
    except ImportError as error:
        msg = f"{url}: {error}. Install what it needs: pip install 'mepipe[remote]'"
        raise UsageError(msg) from None
    except Exception as error:
        raise _told(url, "reached", error) from error
    return system, path.rstrip("/")


def _told(where: str, what: str, error: Exception) -> PlaceError:
    """The one line for whatever a file system, its client library or the network raises: there is no common family."""
    name = type(error).__name__
    keys = isinstance(error, PermissionError) or "Credential" in name or "Auth" in name or "Profile" in name
    advice = "Check your keys and what they allow" if keys else "Check the address and the connection, then run again"
    reason = " ".join(str(error).split()) or "no reason given"
    return PlaceError(f"{where}: cannot be {what} ({name}: {reason}). {advice} (docs/sharing.md).")


class Objects(Place):
    """A prefix of a bucket."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if not urlparse(self.url).netloc:
            msg = f"{url}: names no bucket. Say {urlparse(url).scheme}://bucket/features.zarr"
            raise UsageError(msg)

    @property
    def _system(self) -> Any:
        return _system(self.url, os.getpid())[0]

    def _at(self, path: str) -> str:
        root = _system(self.url, os.getpid())[1]
        return f"{root}/{path}" if path else root

    @contextmanager
    def _telling(self, path: str, what: str, absent: type[Exception] | tuple[()] = ()) -> Iterator[None]:
        """Turn what goes wrong into one line; `absent` passes: that nothing is there is an answer."""
        try:
            yield
        except absent:
            raise
        except PlaceError:
            raise
        except Exception as error:
            raise _told(f"{self.url}/{path}".rstrip("/"), what, error) from error

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        with self._telling(path, "read", FileNotFoundError):
            content: bytes = self._system.cat_file(self._at(path), start=start, end=end)
            return content

    def write(self, path: str, content: bytes) -> None:
        with self._telling(path, "written"):
            self._system.pipe_file(self._at(path), content)

    def exists(self, path: str) -> bool:
        # Not fsspec's exists: that takes every error, a refused connection too, for an answer.
        with self._telling(path, "reached"):
            try:
                self._system.info(self._at(path))
            except FileNotFoundError:
                return False
            return True

    def children(self, path: str) -> list[str]:
        with self._telling(path, "listed"):
            try:
                found = self._system.ls(self._at(path), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            above = f"{self._at(path)}/"
            names = {entry.rstrip("/").removeprefix(above) for entry in found if entry.startswith(above)}
            return sorted(name for name in names if name and name[0] != "." and "/" not in name)

    def files(self, path: str) -> dict[str, int]:
        with self._telling(path, "listed"):
            found = self._system.find(self._at(path), detail=True)
            return {name.removeprefix(f"{self._at(path)}/"): int(facts["size"]) for name, facts in found.items()}

    def modified(self, path: str) -> float:
        with self._telling(path, "read", FileNotFoundError):
            return float(self._system.modified(self._at(path)).timestamp())

    def copy(self, source: str, target: str) -> None:
        with self._telling(target, "written"):
            self._system.cp_file(self._at(source), self._at(target))

    def remove(self, path: str) -> None:
        with self._telling(path, "removed"), suppress(FileNotFoundError):
            self._system.rm(self._at(path), recursive=True)

    @contextmanager
    def building(self, path: str) -> Iterator[Path]:
        """What makes the group visible comes last. Two makers of one version write the same bytes, since all of it
        follows from its name; of two versions the seal tells a mixture, and extract makes it again.
        """
        with tempfile.TemporaryDirectory(prefix="mepipe-") as name:
            yield Path(name) / "new"
            made = Folder(Path(name) / "new")
            for part in sorted(made.files(""), key=lambda part: (part == "zarr.json", part)):
                self.write(f"{path}/{part}", made.read(part))
