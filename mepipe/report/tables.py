"""A table, once: as the page shows it, as LaTeX, as CSV. Numbers keep their full precision beside what is shown."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "–": "--", "→": r"$\to$", "Δ": r"$\Delta$", "×": r"$\times$", "−": "$-$",
    "·": r"$\cdot$", "≥": r"$\geq$", "\n": " ",
    "[": "{[}",  # after a line's end it would be taken for a length
}  # fmt: skip
LONGEST = 45  # rows that fit on a page


@dataclass(frozen=True)
class Cell:
    """What is shown; of a number its value and 95 % interval.

    colour: behind it; bar: a share 0..1, drawn behind it; under: a second line, not in LaTeX.
    """

    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    colour: str = ""
    bar: float | None = None
    under: str = ""

    @property
    def interval(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return f"{_shown(self.low)}{' to ' if self.low < 0 else '–'}{_shown(self.high)}"

    @property
    def dark(self) -> bool:
        """Whether what is behind it asks for white letters."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5)) if self.colour else (255, 255, 255)
        return 0.299 * red + 0.587 * green + 0.114 * blue < 140


Raw = Cell | str | float | None


def number(value: float, interval: Sequence[float] | None = None, bar: float | None = None) -> Cell:
    """A score with its interval."""
    low, high = interval or (None, None)
    return Cell(_shown(value), value, low, high, bar=bar)


def difference(value: float, interval: tuple[float, float]) -> Cell:
    """A difference, with its sign."""
    low, high = interval
    return Cell(f"{value:+.3f}".replace("-", "−"), value, low, high)


def _shown(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _cell(raw: Raw) -> Cell:
    if isinstance(raw, Cell):
        return raw
    if raw is None:
        return Cell("")
    if isinstance(raw, str):
        return Cell(raw)
    return Cell(str(raw), raw) if isinstance(raw, int) else number(raw)


@dataclass(frozen=True)
class Row:
    """kind: what sort of row, as `oracle` and `paper` are told apart; where it changes, there is a rule."""

    cells: list[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """name: in the CSV. head: of the columns. note: below it. result: whether it goes into LaTeX and CSV."""

    name: str
    caption: str
    head: list[str]
    rows: list[Row] = field(default_factory=list)
    note: str = ""
    result: bool = True

    def add(self, *cells: Raw, kind: str = "") -> None:
        """One more row."""
        if len(cells) != len(self.head):
            msg = f"{self.name}: {len(cells)} cells in a table of {len(self.head)} columns"
            raise ValueError(msg)
        self.rows.append(Row([_cell(c) for c in cells], kind))

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers only, which are set to the right."""
        columns = [[row.cells[n] for row in self.rows if row.cells[n].text] for n in range(len(self.head))]
        return [bool(column) and all(cell.value is not None for cell in column) for column in columns]

    def latex(self) -> str:
        """With booktabs' rules; a long one may break between pages (package longtable)."""
        columns = "".join("r" if numeric else "l" for numeric in self.numeric)
        head = f"\\toprule\n{_line(map(Cell, self.head))}\n\\midrule"
        body = [head]
        for before, row in zip([None, *self.rows], self.rows, strict=False):
            if before and before.kind != row.kind:
                body.append("\\midrule")
            body.append(_line(row.cells))
        lines = "\n".join([*body, "\\bottomrule"])
        caption = escaped(f"{self.caption}. {self.note}" if self.note else self.caption)
        if len(self.rows) > LONGEST:
            return f"\\begin{{longtable}}{{{columns}}}\n\\caption{{{caption}}}\\\\\n{lines}\n\\end{{longtable}}\n"
        return (
            f"\\begin{{table}}[htbp]\n\\centering\n\\caption{{{caption}}}\n"
            f"\\begin{{tabular}}{{{columns}}}\n{lines}\n\\end{{tabular}}\n\\end{{table}}\n"
        )


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _line(cells: Iterable[Cell]) -> str:
    shown = (escaped(c.text) + (f" {{\\scriptsize ({escaped(c.interval)})}}" if c.interval else "") for c in cells)
    return " & ".join(shown) + r" \\"


def latex(tables: Iterable[tuple[str, str, Table]]) -> str:
    """All results, each under the name and weights of its run. Needs booktabs and longtable."""
    parts = [f"% {_line_of(name, weights, t.name)}\n{t.latex()}" for name, weights, t in tables if t.result]
    return "\n".join(["% \\usepackage{booktabs,longtable}", *parts])


def _line_of(*words: str) -> str:
    return ", ".join(" ".join(word.split()) for word in words if word)


def csv_text(tables: Iterable[tuple[str, str, Table]]) -> str:
    """All results, a line for each number, unrounded. row: the words that its line begins with."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", "weights", "table", "row", "column", "value", "low", "high"])
    for name, weights, table in tables:
        for row in table.rows if table.result else ():
            words = itertools.takewhile(lambda cell: cell.value is None, row.cells)
            label = _line_of(*(text for cell in words for text in (cell.text, cell.under)))
            for head, cell in zip(table.head, row.cells, strict=True):
                if cell.value is not None:
                    writer.writerow([name, weights, table.name, label, head, cell.value, cell.low, cell.high])
    return out.getvalue()
