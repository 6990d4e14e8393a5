"""What people and spreadsheet programs do to sheets. `Sheet` keeps what one has come to, so that a test can read it."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl

Cell = Any
_CELLS: tuple[Cell, ...] = (
    *(None, "", " ", "/", "?", "-", "nan", "#REF!", "n.a.", "twelve", "1e3", "0x1F", "１２", "1,204", "12 13"),
    *(-1, 0, 1, 7, 12.0, 12.5, 1e9, 1e22, 10**14, float(2**53), True, datetime(2014, 5, 8, 12), "12", " 12 ", "12.0"),
    *("../..", "/etc", "a/b", "C:\\x", ".", "..", "*", "[a]", "x" * 300, "x" * 5000, "é\u0301\u202e", "Others", "=1+1"),
    *("spNO.1", "sub01", "006", "s1_ne_01", "EP02_01f", "AU4 AU7", "4+", "((", "R6 or", "anger "),
)


@dataclass
class Sheet:
    """A sheet, in pieces. damaged: its columns or its file are no longer what the layout wrote.

    data: the file as it was written by the layout.
    """

    path: Path
    data: bytes
    page: str
    preamble: list[list[Cell]]
    titles: list[Cell]
    body: list[list[Cell]]
    damaged: bool = False
    copies: list[Path] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path, title: str = "Filename") -> Sheet:
        """A sheet as a layout wrote it: the page whose header has this title."""
        book = openpyxl.load_workbook(path, data_only=True)
        for page in book.worksheets:
            rows = [list(row) for row in page.iter_rows(values_only=True)]
            for index, row in enumerate(rows):
                if title in row:
                    return cls(path, path.read_bytes(), page.title, rows[:index], row, rows[index + 1 :])
        raise AssertionError(path)

    def copy(self, path: Path) -> Sheet:
        """The same for another place."""
        body = [list(row) for row in self.body]
        return Sheet(path, self.data, self.page, [list(r) for r in self.preamble], list(self.titles), body)

    def line(self, index: int) -> int:
        """The number of a row of the body, as a spreadsheet counts."""
        return len(self.preamble) + 2 + index

    def values(self, index: int, title: str) -> set[str]:
        """What stands in a row of the body under all columns of this title."""
        row = self.body[index]
        return {plain(row[k]) for k, t in enumerate(self.titles) if k < len(row) and plain(t).lower() == title.lower()}

    def write(self) -> None:
        """Write the sheet as it has become."""
        book = openpyxl.Workbook()
        book.active.title = self.page
        for row in (*self.preamble, self.titles, *self.body):
            book.active.append(row)
        book.create_sheet("Sheet9")
        book.save(self.path)


def plain(cell: Cell) -> str:
    """A cell as people read it: 12 for 12.0, and no spaces around."""
    if isinstance(cell, float) and cell == int(cell):
        cell = int(cell)
    text = " ".join(str(cell).split()) if cell is not None else ""
    return text.removesuffix(".0") if text.removesuffix(".0").isdecimal() else text


def _cell(sheet: Sheet, rng: random.Random) -> None:
    if sheet.body:
        row = rng.choice(sheet.body)
        column = rng.randrange(len(row))
        row[column] = rng.choice(_CELLS)


def _near_number(sheet: Sheet, rng: random.Random) -> None:
    """A slip of the pen: a number somewhat larger or smaller, or with digits swapped."""
    numbers = [(row, k) for row in sheet.body for k, cell in enumerate(row) if plain(cell).isdecimal()]
    if numbers:
        row, k = rng.choice(numbers)
        number = int(plain(row[k]))
        row[k] = rng.choice([number + 1, number - 1, number + 9, number * 10, number + 0.5, int(str(number)[::-1])])


def _spelling(sheet: Sheet, rng: random.Random) -> None:
    """The same, but for capitals, zeros and spaces."""
    if sheet.body:
        row = rng.choice(sheet.body)
        column = rng.randrange(min(len(row), 4))
        text = plain(row[column])
        zeros = re.sub(r"[0-9]+", lambda run: rng.choice([f"0{run[0]}", run[0].lstrip("0")]), text, count=1)
        row[column] = rng.choice([text.upper(), text.capitalize(), zeros, f" {text} ", text.replace("_", " ")])


def _other_cell(sheet: Sheet, rng: random.Random) -> None:
    """The value of another row."""
    if sheet.body:
        source, target = rng.choice(sheet.body), rng.choice(sheet.body)
        column = rng.randrange(min(len(source), len(target)))
        target[column] = source[column]


def _title(sheet: Sheet, rng: random.Random) -> None:
    column = rng.randrange(len(sheet.titles))
    title = plain(sheet.titles[column])
    sheet.titles[column] = rng.choice(
        [None, title.upper(), f" {title} ", title[1:], title + "s", "Notes", 7, title * 2]
    )
    sheet.damaged = True


def _column(sheet: Sheet, rng: random.Random) -> None:
    """A column is deleted, twice, moved, or swapped with another under the old titles' names."""
    column, other = rng.randrange(len(sheet.titles)), rng.randrange(len(sheet.titles))
    rows = [sheet.titles, *(row for row in sheet.body if len(row) == len(sheet.titles))]
    what = rng.randrange(4)
    sheet.damaged = True
    if what == 3:  # with a value that differs in one row
        rows, column = rows[1:], min(column, other)
        sheet.titles.append(sheet.titles[column])
        for row in rows:
            row.append(row[column])
        if rows:
            rng.choice(rows)[-1] = rng.choice(_CELLS)
        return
    for row in rows:
        cell = row.pop(column) if what == 0 and len(row) > 1 else row[column]
        if what == 1:
            row.insert(other, cell)
        elif what == 2:
            row[column], row[other] = row[other], row[column]


def _rows(sheet: Sheet, rng: random.Random) -> None:
    """Rows are sorted otherwise, lost, doubled, cut short; blank ones and remarks come in."""
    rng.shuffle(sheet.body)
    blank: list[Cell] = [None] * len(sheet.titles)
    at = rng.randrange(len(sheet.body) + 1)
    row = list(rng.choice(sheet.body)) if sheet.body else blank
    what = rng.randrange(6)
    if what == 0 and sheet.body:
        sheet.body.pop()
    elif what == 1:
        sheet.body.insert(at, row)
    elif what == 2:
        sheet.body.insert(at, blank)
    elif what == 3:
        sheet.body.insert(at, ["checked by R. on 3 May", *blank[1:]])
    elif what == 4:
        sheet.body.insert(at, row[: rng.randrange(1, len(row) + 1)])
    else:
        sheet.preamble[:0] = [["remark"], [], [None, "Filename?"]] * rng.choice([1, 2, 12])
        sheet.damaged |= len(sheet.preamble) > 28  # the header is looked for in the first 30 rows


def _page(sheet: Sheet, rng: random.Random) -> None:
    sheet.page = rng.choice(["Tabelle1", sheet.page.lower(), "VIS"])


OPERATIONS: tuple[Callable[[Sheet, random.Random], None], ...] = (
    *(_cell, _cell, _near_number, _near_number, _spelling, _other_cell, _title, _column, _rows, _rows, _page),
)


def spoil(sheet: Sheet, rng: random.Random) -> None:
    """The written file is cut short, garbled, replaced by another kind of file, gone, or there twice."""
    what = rng.randrange(6)
    if what == 0:
        sheet.copies.append(sheet.path.with_name(f"Copy of {sheet.path.name}"))
        shutil.copyfile(sheet.path, sheet.copies[-1])
        return
    sheet.damaged = True
    data = sheet.path.read_bytes()
    sheet.path.unlink()
    if what == 1:
        sheet.path.write_bytes(data[: rng.randrange(len(data))])
    elif what == 2:
        garbled = bytearray(data)
        for _ in range(rng.choice([1, 8, 200])):
            garbled[rng.randrange(len(data))] = rng.randrange(256)
        sheet.path.write_bytes(garbled)
    elif what == 3:
        sheet.path.write_bytes(
            rng.choice([b"", b"<html>please log in</html>", bytes(2000), b"PK\x03\x04", b"a,b\n1,2\n"])
        )
    elif what == 4:
        sheet.path.mkdir()
