"""Excel workbooks for look-alike sheets: cell by cell, formulas with the values that Excel leaves beside them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_EPOCH = datetime(1980, 1, 1)


@dataclass(frozen=True)
class Formula:
    """A cell that is computed. text: '=SUM(F15-D15)+1'. value: a number or text, what it comes to."""

    text: str
    value: int | float | str


def write(
    path: Path, pages: Mapping[str, Sequence[Sequence[object]]], filters: Mapping[str, str] | None = None
) -> None:
    """Write pages of rows of cells (text, numbers, Formula, None) as .xlsx; the same cells give the same bytes.

    filters: the range of a page's auto-filter, 'A14:L173', by the page's name.
    """
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    values: list[dict[str, str]] = []
    for name, rows in pages.items():
        sheet = book.create_sheet(name)
        values.append({})
        for row, cells in enumerate(rows, start=1):
            for column, content in enumerate(cells, start=1):
                formula = content if isinstance(content, Formula) else None
                cell = sheet.cell(row, column, formula.text if formula else content)
                if formula:
                    values[-1][cell.coordinate] = str(formula.value)
        sheet.auto_filter.ref = (filters or {}).get(name)
    written = io.BytesIO()
    book.save(written)
    path.write_bytes(_finish(written.getvalue(), values))


def _finish(workbook: bytes, values: Sequence[Mapping[str, str]]) -> bytes:
    """Two things that openpyxl cannot do: cached values beside formulas, and the same bytes at any time of day."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            page = re.fullmatch(r"xl/worksheets/sheet(\d+)\.xml", name)
            if page:
                content = _cache(content.decode(), values[int(page[1]) - 1]).encode()
            if name == "docProps/core.xml":
                content = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", f"{_EPOCH:%Y-%m-%dT%H:%M:%SZ}", content.decode()).encode()
            new.writestr(zipfile.ZipInfo(name, _EPOCH.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _cache(page: str, values: Mapping[str, str]) -> str:
    def cached(match: re.Match[str]) -> str:
        value = values[match[2]]
        kind = "" if re.fullmatch(r"-?[0-9.]+", value) else ' t="str"'
        return f"{match[1]}{kind}{match[3]}<v>{value}</v>"

    return re.sub(r'(<c r="([A-Z]+\d+)"[^>]*)(><f>[^<]*</f>)(?:<v\s*/>|<v></v>)', cached, page)
