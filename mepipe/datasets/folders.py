"""Folders of a release, whatever nesting, capitals and zero padding the copy has."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from mepipe.datasets.findings import Release
from mepipe.errors import MepipeError

_DEPTH = 4


class Folders:
    """Subfolders by name; each folder is listed once."""

    def __init__(self) -> None:
        self._names: dict[Path, list[str]] = {}
        self._alike: dict[tuple[Path, Callable[[str], str]], dict[str, list[str]]] = {}

    def names(self, parent: Path) -> list[str]:
        """The names of the folders in `parent`, sorted, hidden ones aside; none when it cannot be listed."""
        if parent not in self._names:
            self._names[parent] = _subfolders(parent)
        return self._names[parent]

    def find(self, parent: Path, *names: str) -> Path:
        """The folder parent/subject/.../clip: of just these names, or else the one that differs in capitals only.

        In all names but the last, zeros before a number do not matter either: subjects are padded or not, but clips
        EP01_2 and EP01_02 may be two. MepipeError when there is none, or when several differ in nothing that matters.
        """
        place = parent
        for name, key in zip(names, [_loosely] * (len(names) - 1) + [str.casefold], strict=True):
            alike = self._by(key, place).get(key(name), [])
            if name not in alike and len(alike) != 1:
                problem = f"several folders like {name}: {', '.join(alike)}" if alike else f"no folder {name!r}"
                msg = f"{'/'.join(names)}: {problem} in {place}. Copy the clip from the release, or correct the row."
                raise MepipeError(msg)
            place = place / (name if name in alike else alike[0])
        return place

    def _by(self, key: Callable[[str], str], parent: Path) -> dict[str, list[str]]:
        if (parent, key) not in self._alike:
            alike = self._alike[parent, key] = {}
            for name in self.names(parent):
                alike.setdefault(key(name), []).append(name)
        return self._alike[parent, key]


def homes(root: Path, looks_like: str) -> list[Path]:
    """Every folder from `root` on down, four levels deep, that holds folders whose whole names fit the pattern.

    looks_like: a regular expression, capitals aside, of the subjects' folders. Those are not searched in turn.
    """
    pattern = re.compile(looks_like, re.IGNORECASE)
    found, level = [], [root]
    for _ in range(_DEPTH):
        below = []
        for place in level:
            names = _subfolders(place)
            if any(pattern.fullmatch(name) for name in names):
                found.append(place)
            below += [place / name for name in names if not pattern.fullmatch(name)]
        level = below
    return found


def home(root: Path, looks_like: str, prefer: Sequence[str], example: str, release: Release) -> Path:
    """The one of `homes` whose path fits the earliest of the patterns in `prefer`; of equals, the first found.

    prefer: regular expressions, capitals aside, searched in the path relative to `root`; a path that fits none comes
    last. Where there are several, a 'note' says which is read. example: what a subject's folder is called, for the
    MepipeError when there is none.
    """
    if not root.is_dir():
        msg = f"No folder at {root}. Give the folder that holds the release as --root."
        raise MepipeError(msg)

    def rank(place: Path) -> int:
        path = place.relative_to(root).as_posix()
        fits = [re.search(pattern, path, re.IGNORECASE) is not None for pattern in prefer]
        return fits.index(True) if any(fits) else len(fits)

    found = sorted(homes(root, looks_like), key=rank)
    if not found:
        msg = (
            f"No subjects' folders ({example}) in {root}, nor in the folders under it.\n"
            "Give the folder that holds the release as --root."
        )
        raise MepipeError(msg)
    if len(found) > 1:
        others = ", ".join(shown(place, root) for place in found[1:])
        release.report("note", shown(found[0], root), f"frames are taken from here, not from {others}.")
    return found[0]


def shown(path: Path, root: Path) -> str:
    """A path as findings name it: relative to the release's root, or as it is outside of it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _subfolders(parent: Path) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and _leads_to_folder(e))
    except OSError:  # not there, or not for us to read
        return []


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself: it alone is passed over, not all that lies beside it
        return False


def _loosely(name: str) -> str:
    """'Sub01' and 'sub1' are one, 'sub10' is not."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.casefold())
