"""What a benchmark reports, and how it is written: tables, what was asked, and on what it was measured."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

Row = tuple[str | float, ...]

_LIBRARIES = ("numpy", "scipy", "numba", "opencv-contrib-python", "mediapipe", "zarr")


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers under a header; numbers are written with three significant digits."""

    title: str
    header: Sequence[str]
    rows: Sequence[Row]
    note: str = ""


@dataclass(frozen=True)
class Asked:
    """Something that is asked of the project, and what was measured. `sign` is <= or >=."""

    what: str
    measured: float
    sign: str
    bound: float

    @property
    def met(self) -> bool:
        return self.measured <= self.bound if self.sign == "<=" else self.measured >= self.bound


@dataclass(frozen=True)
class Report:
    """All that one subject has to say."""

    title: str
    text: str
    tables: Sequence[Table]
    asked: Sequence[Asked] = ()


def markdown(report: Report) -> str:
    """The report as Markdown whose columns are aligned, so that it reads as plain text too."""
    parts = [f"## {report.title}", report.text]
    if report.asked:
        rows = [(a.what, f"{a.sign} {a.bound:g}", a.measured, "yes" if a.met else "**no**") for a in report.asked]
        parts.append(_grid(("asked", "bound", "measured", "met"), rows))
    for table in report.tables:
        parts += [f"**{table.title}**", _grid(table.header, table.rows), table.note]
    return "\n\n".join(part for part in parts if part) + "\n"


def _grid(header: Sequence[str], rows: Sequence[Row]) -> str:
    cells = [list(header), *[[_text(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    # Figures to the right; a column is one of figures if its first row has one.
    right = [bool(rows) and not isinstance(value, str) for value in rows[0]] if rows else [False] * len(header)
    lines = [
        "| " + " | ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _text(value: str | float) -> str:
    """Three significant digits, and no exponents: .00123, 1.23, 1234."""
    if isinstance(value, str) or value == 0:
        return str(value)
    magnitude = abs(value)
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.3g}" if magnitude >= 0.001 else f"{value:.2g}"


def machine(command: str) -> str:
    """One line: when, on what, with which versions, by which command."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"*{date.today():%d %B %Y}, {_cpu()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"{libraries}; `{command}`.*"
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return re.sub(r"\s+", " ", named[1]) if named else platform.processor() or platform.machine()


def save(path: Path, subject: str, text: str, order: Sequence[str]) -> None:
    """Put a subject's text into the document in its place, leaving the other subjects' as they were measured."""
    parts = dict.fromkeys(order, "")
    if path.exists():
        found = re.findall(r"<!-- (\w+) -->\n(.*?)<!-- end -->", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        parts |= {name: content for name, content in found if name in parts}
    parts[subject] = text
    body = "\n".join(f"<!-- {name} -->\n{content}<!-- end -->\n" for name, content in parts.items() if content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_HEAD + "\n" + body, encoding="utf-8")


_HEAD = """# Benchmarks

Written by `make bench`, not by hand. Each part says when, on what and with what it was measured; `python -m benchmarks
--only NAME` measures one part again. Accuracy is measured on the demo database, whose motion is known exactly
(synthetic motion on two portraits), so it says how well motion is found, not how well emotions are.
"""
