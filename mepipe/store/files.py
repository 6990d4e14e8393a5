"""The few file operations that the store's promises rest on: appear whole or not at all, and stay.

Everything is written in a private place, flushed to the disk, and renamed into view; the folder is flushed after.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from mepipe.errors import MepipeError

SHARED_FOLDER = 0o2775  # group-writable whatever the umask: on a team's folder nobody is locked out
SHARED_FILE = 0o444  # finished: replaced by rename, never edited


def flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing, writable by the group."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(SHARED_FOLDER)
    return path


def private_name(path: Path) -> Path:
    """A name beside `path` that nobody else uses and every reader passes over."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")


def write(path: Path, content: bytes) -> None:
    """Write a whole file, replacing what is there; readers see the old or the new, never a part."""
    private = private_name(path)
    try:
        with private.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        private.chmod(SHARED_FILE)
        if path.is_dir():  # where a file was: nothing that writes a store makes one
            shutil.rmtree(path)
        private.replace(path)
    except OSError as error:
        with suppress(OSError):  # where nothing may be written, nothing may be removed
            private.unlink(missing_ok=True)
        msg = f"{path}: cannot be written ({error.strerror}). Check free space and permission, then run again."
        raise MepipeError(msg) from error
    flush(path.parent)


def publish(private: Path, final: Path) -> bool:
    """Rename a finished private folder into place; False, and the private one removed, where another was first."""
    for path in [private, *private.rglob("*")]:
        path.chmod(SHARED_FOLDER if path.is_dir() else SHARED_FILE)
        flush(path)
    try:
        private.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(private)
        return False
    flush(final.parent)
    return True
