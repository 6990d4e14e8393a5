"""Several runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mepipe.report import compare, figures
from mepipe.report.figures import Picture
from mepipe.report.gather import Account
from mepipe.report.sections import PAPER, UF1, paper_rows, plain, score_cells, score_names
from mepipe.report.tables import Cell, Row, Table, difference
from mepipe.train import runs
from mepipe.train.runs import Run


@dataclass(frozen=True)
class Comparison:
    """What stands before the runs, where there are several."""

    tables: list[Table] = field(default_factory=list)
    picture: Picture | None = None


def labels(found: Sequence[Run]) -> list[str]:
    """What each run is called: a number, and its folder."""
    return [f"{n} {run.path.name}" for n, run in enumerate(found, 1)]


def comparison(found: Sequence[Run], accounts: Sequence[Account]) -> Comparison:
    """found: all runs that were named; accounts: of those that are finished."""
    names = dict(zip((run.path for run in found), labels(found), strict=True))
    tables = [*_scores(found, accounts, names), *_differences(found, names), *_paired(accounts, names)]
    alike = [a for a in accounts if a.units == accounts[0].units]
    score = "F1" if alike[0].units else "UF1"
    known = [a for a in alike if score in a.metrics.intervals]
    if len(known) < 2:
        return Comparison(tables)
    values = [getattr(a.metrics, score) for a in known]
    spans = [a.metrics.intervals[score] for a in known]
    return Comparison(tables, figures.forest([f"{names[a.run.path]}\n{a.basis}" for a in known], values, spans, score))


def _scores(found: Sequence[Run], accounts: Sequence[Account], names: dict) -> list[Table]:
    """One table of the runs with classes, one of those with action units; unfinished ones are said to be."""
    made = []
    for units in sorted({a.units for a in accounts}):
        mine = {a.run.path: a for a in accounts if a.units == units}
        first = next(iter(mine.values()))
        table = Table(
            "comparison-units" if units else "comparison",
            "Runs beside each other" + (", action units" if units else ""),
            ["run", "reported, weights", "samples", *score_names(first)],
        )
        for run in found:
            label = Cell(names[run.path], under=run.title)
            if run.path in mine:
                a = mine[run.path]
                table.add(label, a.basis, a.metrics.samples, *score_cells(a, a.metrics, intervals=True))
            elif run.metrics is None and units == accounts[0].units:
                told = f"not finished: {run.folds} folds are done"
                table.add(label, told, None, *[None] * len(score_names(first)), kind="unfinished")
        table.rows.extend(_papers(list(mine.values())))
        note = f"In brackets: 95 % intervals over subjects. {'' if units else UF1 + '. '}{PAPER}."
        made.append(Table(table.name, table.caption, table.head, table.rows, note))
    return made


def _papers(accounts: Sequence[Account]) -> list[Row]:
    rows: dict[str, Row] = {}
    for account in accounts:
        for row in paper_rows(account, empty=2):
            if row.cells[0].text.startswith("of these"):
                continue
            label = f"{account.run.config['model']}: {row.cells[0].text}"
            rows.setdefault(label, Row([Cell(label), *row.cells[1:]], row.kind))
    return list(rows.values())


def _differences(found: Sequence[Run], names: dict) -> list[Table]:
    table = Table("asked-otherwise", "Asked otherwise", ["setting", *names.values()], result=False)
    for name, values in runs.differences(found).items():
        table.add(name.replace("_", " "), *(Cell(plain(v)) for v in values))
    return [table] if table.rows else []


def _paired(accounts: Sequence[Account], names: dict) -> list[Table]:
    """Each further run minus the first of those that it can be paired with."""
    first, *others = accounts
    scores = [name for name in score_names(first) if name in first.metrics.intervals]
    table = Table(
        "paired",
        f"Each run minus {names[first.run.path]} ({first.basis}), over the same samples",
        [
            "run",
            *(f"Δ{name}" for name in scores),
            "right in it alone",
            "in the first alone",
            "McNemar p",
        ],
        note="In brackets: 95 % intervals of the difference, by a bootstrap over subjects, both runs by the same "
        "draws. McNemar's exact test, of the samples that one alone has right, takes samples for independent, which "
        "those of a subject are not. "
        + (f"{len(others)} comparisons: neither is corrected for their number." if len(others) > 1 else ""),
    )
    for other in others:
        label = Cell(names[other.run.path], under=other.basis)
        why = compare.comparable(first, other)
        if why:
            table.add(Cell(f"{label.text} ({why})", under=other.basis), *[None] * (len(scores) + 3))
            continue
        found = compare.paired(first, other)
        p = Cell(f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001", found.p)
        apart = [difference(*found.differences[name]) for name in scores]
        table.add(label, *apart, found.only_second, found.only_first, p)
    return [table] if others else []
