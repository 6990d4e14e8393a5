"""Annotation sheets as they are distributed: find one, find its header, read its rows as text and numbers.

Excel (.xlsx, .xls, .xlsb), OpenDocument (.ods) and .csv. Of a formula the value is read that the program which saved
the sheet left beside it. A number is a number whether the cell holds 12, 12.0 or the text '12'.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mepipe.datasets.findings import Release
from mepipe.datasets.folders import shown
from mepipe.errors import MepipeError
from mepipe.names import nearest

_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".csv")
_HEADER_WITHIN = 30
# In a process of its own: a damaged workbook can make the library end its process, and a stray cell in the last corner
# of a sheet ask for a terabyte.
_READER = """
import json, python_calamine, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
with python_calamine.CalamineWorkbook.from_path(sys.argv[1]) as book:
    pages = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
json.dump(pages, sys.stdout, default=str)
"""
_BLANKS = frozenset({"", "/", "-", "?", "nan", "n/a", "na", "none", "null"})


@dataclass(frozen=True)
class Row:
    """One row below the header. where: 'SHEET.xlsx, row 15', as a spreadsheet counts."""

    where: str
    _cells: Mapping[str, Any]

    def text(self, title: str) -> str:
        """The cell as text, without stray and doubled spaces; '' for a cell or column that is not there."""
        return _text(self._cells.get(_key(title)))

    def filled(self, title: str) -> str:
        """The same; MepipeError for an empty cell."""
        text = self.text(title)
        if not text:
            msg = f"{title} is empty. Correct this row, or delete it."
            raise MepipeError(msg)
        return text

    def number(self, title: str) -> int:
        """The cell as a whole number, 0 or more. MepipeError names title and value."""
        text = self.text(title)
        if not re.fullmatch(r"[0-9]{1,15}", text):
            msg = f"{title} is {text!r}, not a whole number. Correct this row."
            raise MepipeError(msg)
        return int(text)

    def whole_or_none(self, title: str) -> int | None:
        """The same; None for a cell that is empty or holds what stands for nothing: '/', '-', '?', 'nan', 'none'."""
        return None if self.text(title).lower() in _BLANKS else self.number(title)


@dataclass(frozen=True)
class Table:
    """The rows of a sheet that are not blank, in its order; none when a needed column is missing."""

    path: Path
    rows: list[Row] = field(default_factory=list)


def find(root: Path, patterns: Sequence[str], places: Sequence[str], release: Release) -> Path:
    """The sheet whose name fits the first pattern that any fits, capitals aside, in the first place that has it.

    places: folders relative to `root`, tried in turn; '.' is `root`, '..' the folder it lies in, and '*' stands for
    any name. Hidden files and what a spreadsheet program leaves while a sheet is open (~$...) are passed over.
    Where there are several, a 'note' says which is read. MepipeError when there is none.
    """
    folders = list(dict.fromkeys(folder for place in places for folder in _folders(root, place)))
    files = [path for folder in folders for path in _files(folder)]
    found = [path for pattern in patterns for path in files if fnmatch(path.name.lower(), pattern.lower())]
    by_target: dict[Path, Path] = {}
    for path in found:
        by_target.setdefault(path.resolve(), path)
    distinct = list(by_target.values())
    if not distinct:
        msg = (
            f"No annotation sheet {' or '.join(patterns)} in {root} (looked into: {', '.join(places)}).\n"
            "Put the sheet of the release there, or give the release's folder as --root."
        )
        raise MepipeError(msg)
    if len(distinct) > 1:
        others = ", ".join(shown(path, root) for path in distinct[1:])
        release.report("note", shown(distinct[0], root), f"this sheet is read; there are others: {others}.")
    return distinct[0]


def read(path: Path, needed: Sequence[str], known: Sequence[str], release: Release, page: str | None = None) -> Table:
    """The rows below the header, which is looked for in the first 30 rows of `page`, or of each page in turn.

    needed: titles without which nothing can be read; one that is missing is an 'error' finding, and the table is
    empty. known: titles that may be there; any other is a 'warning'. Capitals and doubled spaces in titles do not
    matter, nor do columns without a title. MepipeError when the file cannot be read or has no header.
    """
    best: tuple[int, int, list[list[Any]]] = (0, 0, [])
    for cells in _pages(path, page):
        for index, cell_row in enumerate(cells[:_HEADER_WITHIN]):
            titles = {_key(_text(cell)) for cell in cell_row}
            score = sum(_key(title) in titles for title in needed)
            if 2 * score >= len(needed) and score > best[0]:
                best = score, index, cells
    score, header, cells = best
    if not score:
        msg = (
            f"{path}: no header: none of the first {_HEADER_WITHIN} rows has the titles {', '.join(needed)}.\n"
            "Use the sheet as it was released, or restore its header row."
        )
        raise MepipeError(msg)
    columns = _columns(cells[header], needed, known, f"{path.name}, row {header + 1}", release)
    if columns is None:
        return Table(path)
    rows = []
    for line, row in enumerate(cells[header + 1 :], start=header + 2):
        values = {title: row[index] for title, index in columns.items() if index < len(row)}
        if any(_text(value) for value in values.values()):
            rows.append(Row(f"{path.name}, row {line}", values))
    return Table(path, rows)


def subject_of(row: Row, prefix: str, digits: int) -> str:
    """'sub01', of the cells 1, '01', 'sub1' and 'SUB01' in the column Subject: written in two ways, it is one person.

    MepipeError for a cell that is neither a number nor one after `prefix`.
    """
    text = row.filled("Subject")
    match = re.fullmatch(rf"(?:{prefix})?0*([0-9]{{1,{digits}}})", text, re.IGNORECASE)
    if match is None:
        msg = f"Subject is {text!r}, not one such as {prefix}{1:0{digits}d}. Correct this row."
        raise MepipeError(msg)
    return f"{prefix}{int(match[1]):0{digits}d}"


def _folders(root: Path, place: str) -> list[Path]:
    if place == "..":
        return [root.absolute().parent]
    if "*" in place:
        return sorted(path for path in root.glob(place) if path.is_dir())
    return [root / place]


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            # Links are not followed here: one that leads to itself would make all files beside it invisible.
            names = sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
    except OSError:  # not there, or not for us to read
        return []
    return [folder / name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(("~$", "."))]


def _columns(
    row: Sequence[Any], needed: Sequence[str], known: Sequence[str], where: str, release: Release
) -> dict[str, int] | None:
    """Where the wanted columns are, by title; None when a needed one is missing. Reports what is odd."""
    titles = [_text(cell) for cell in row]
    wanted = {_key(title): title for title in (*needed, *known)}
    columns: dict[str, int] = {}
    unknown = []
    for index, title in enumerate(titles):
        if _key(title) in columns:
            release.report("warning", where, f"two columns {title!r}: the first is read. Rename or delete the other.")
        elif _key(title) in wanted:
            columns[_key(title)] = index
        elif title:
            unknown.append(title)
    missing = [title for title in needed if _key(title) not in columns]
    for title in missing:
        hint = nearest(title, unknown) or f" Columns: {', '.join(filter(None, titles))}."
        release.report("error", where, f"no column {title!r}, so no row can be read.{hint} Rename it to {title!r}.")
    for title in unknown:
        release.report("warning", where, f"unknown column {title!r}, passed over.")
    return None if missing else columns


def _pages(path: Path, page: str | None) -> list[list[list[Any]]]:
    """The cells of each page, or of the one that is asked for if there is one of that name."""
    if path.suffix.lower() == ".csv":
        return [_csv(path)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", _READER, path],
        capture_output=True,
        text=True,
        env=os.environ | {"RUST_BACKTRACE": "0"},
    )
    if done.returncode:
        said = [line for line in done.stderr.strip().splitlines() if not line.startswith("note: ")]
        reason = said[-1] if said else f"status {done.returncode}"
        msg = f"{path}: cannot be read as a spreadsheet ({reason}). Copy it again from the release."
        raise MepipeError(msg)
    pages: dict[str, list[list[Any]]] = json.loads(done.stdout)
    return [pages[page]] if page in pages else list(pages.values())


def _csv(path: Path) -> list[list[Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: cannot be read ({error}). Save it as comma-separated UTF-8 text."
        raise MepipeError(msg) from None


def _text(cell: object) -> str:
    """A cell as text: 12.0 is '12', and so is the text '12.0' that a detour through CSV leaves."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = " ".join(str(cell).split()) if cell is not None else ""
    return text[:-2] if re.fullmatch(r"[0-9]+\.0", text) else text


def _key(title: str) -> str:
    return " ".join(title.split()).casefold()
