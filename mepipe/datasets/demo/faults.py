"""Faults planted in look-alike releases: those of the real ones, each with what is to become of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from mepipe.datasets.findings import Severity


@dataclass(frozen=True)
class Fault:
    """One planted fault, as the record of the demo lists it.

    kind: what is wrong, in words. where: the `where` of the finding that reports it ('SHEET.xlsx, row 31', or a folder
    relative to the release). clip: the sample's id, which the finding names; '' where it is about no clip.
    severity: of the finding. handled: what mepipe does, in words. becomes: fields of the sample that the clip becomes,
    None when there is to be no sample of that id (or, for a row that repeats an id, none but the first row's).
    """

    kind: str
    where: str
    clip: str
    severity: Severity
    handled: str
    becomes: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BadRow:
    """A row to be added to a look-alike sheet, for a clip of its own.

    fault: without `where`, which is known when the row is written. cells: the row, as its layout has them.
    frames: numbers of the frames in the clip's folder; none: there is no folder.
    """

    fault: Fault
    cells: tuple[Any, ...]
    frames: tuple[int, ...] = ()


def numbers(first: int, last: int, without: Iterable[int] = ()) -> tuple[int, ...]:
    """Frame numbers first..last, but for some."""
    return tuple(n for n in range(first, last + 1) if n not in set(without))


def plant(source: Path, target: Path, names: Iterable[str]) -> None:
    """A folder `target` of frames with these names, which are the pictures in `source` over and over, by name."""
    target.mkdir(parents=True)
    for name, picture in zip(names, cycle(sorted(source.iterdir())), strict=False):
        shutil.copyfile(picture, target / name)
