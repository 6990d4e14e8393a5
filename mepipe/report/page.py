"""The report itself: everything gathered, laid out as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mepipe import __version__
from mepipe.errors import MepipeError
from mepipe.report import comparison, figures, gather, lineage, mistakes, sections
from mepipe.report.comparison import Comparison
from mepipe.report.figures import Picture
from mepipe.report.gather import Account
from mepipe.report.mistakes import Mistakes
from mepipe.report.tables import Table
from mepipe.store import Store
from mepipe.train.runs import Run

FACELESS = ("tsne", "similarity")  # what `mepipe explain` draws without a face in it, by the start of its name


@dataclass(frozen=True)
class RunPage:
    """One run's part of the report. unfinished: what to do, and nothing else."""

    label: str
    run: Run
    account: Account | None = None
    about: Sequence[Table] = ()
    results: Sequence[Table] = ()
    confusions: Sequence[Table] = ()
    subjects: Table | None = None
    curves: Picture | None = None
    mistakes: Mistakes | None = None
    explained: Sequence[Picture] = ()
    withheld: int = 0
    origin: Sequence[Table] = ()

    @property
    def tables(self) -> list[Table]:
        """All of them, as LaTeX and CSV have them."""
        return [*self.about, *self.results, *self.confusions, *([self.subjects] if self.subjects else [])]


@dataclass(frozen=True)
class Report:
    """A report, ready to be written. no_store: why features could not be looked at. faces: whose faces it shows."""

    made: str
    version: str
    comparison: Comparison | None
    runs: list[RunPage]
    no_store: str
    faces: list[str]
    no_faces: bool

    @property
    def title(self) -> str:
        return self.runs[0].run.title if len(self.runs) == 1 else f"{len(self.runs)} runs compared"

    def named_tables(self) -> Iterator[tuple[str, str, Table]]:
        """Every table with the name and weights of its run; of several runs, `comparison` and nothing."""
        for table in self.comparison.tables if self.comparison else ():
            yield "comparison", "", table
        for page in self.runs:
            weights = page.account.metrics.weights if page.account else ""
            for table in page.tables:
                yield page.run.path.name, weights, table


def report(
    found: Sequence[Run],
    store: Store | None,
    no_store: str = "",
    faces: bool = True,
    limit: int = 24,
    tick: Callable[[], object] = lambda: None,
) -> Report:
    """A report of runs; MepipeError where none is finished. limit: of misclassified samples shown; tick: after each."""
    for run in found:
        gather.check(run)
    accounts = {run.path: gather.account(run) for run in found if run.metrics is not None or len(found) == 1}
    if not accounts:
        msg = f"None of these {len(found)} runs is finished. Run their commands again; see: mepipe runs ls"
        raise MepipeError(msg)
    labels = comparison.labels(found) if len(found) > 1 else [run.path.name for run in found]
    pages = [
        _page(label, accounts[run.path], store, faces, limit, tick) if run.path in accounts else RunPage(label, run)
        for label, run in zip(labels, found, strict=True)
    ]
    compared = comparison.comparison(found, list(accounts.values())) if len(found) > 1 else None
    shown = {name for page in pages for name in _whose_faces(page)}
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return Report(now, __version__, compared, pages, no_store, sorted(shown), not faces)


def _page(
    label: str, account: Account, store: Store | None, faces: bool, limit: int, tick: Callable[[], object]
) -> RunPage:
    explained, withheld = _explained(account.run.path, faces)
    about = [*sections.asked(account), sections.classes(account), sections.left_out(account)]
    origin = [lineage.environment(account), lineage.weights(account)]
    return RunPage(
        label,
        account.run,
        account,
        [table for table in about if table],
        [sections.scores(account), sections.by_class(account)],
        sections.confusions(account),
        sections.subjects(account),
        figures.curves(account),
        mistakes.mistakes(account, store, faces, limit, tick),
        explained,
        withheld,
        [*(table for table in origin if table), *lineage.tables(account, lineage.found(account, store))],
    )


def _explained(folder: Path, faces: bool) -> tuple[list[Picture], int]:
    """What `mepipe explain` left in the run folder; and how many of its pictures are withheld since they show faces."""
    root = folder / "explain"
    files = sorted(root.rglob("[!.]*.png"), key=lambda p: (p.parent != root, not p.name.startswith(FACELESS), p))
    shown = [p for p in files if faces or (p.parent == root and p.name.startswith(FACELESS))]
    return [figures.file(path, root, folder) for path in shown], len(files) - len(shown)


def _whose_faces(page: RunPage) -> list[str]:
    if page.account is None or page.mistakes is None:
        return []
    overlaid = any(not p.caption.startswith(FACELESS) for p in page.explained)
    return list(page.account.features.read) if overlaid else page.mistakes.faces


def html(made: Report) -> str:
    """The page: no script, nothing to load; whatever comes from a run or a store is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mepipe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(report=made)
