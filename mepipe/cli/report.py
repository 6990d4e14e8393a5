"""mepipe report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mepipe.store import Store

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "report",
    epilog="Examples: mepipe report mpt-samm-22c6bbd8; mepipe report runs/* -o all.html --no-faces --latex tables.tex",
)
@click.argument("run", nargs=-1, required=True)
@click.option("--output", "-o", type=_FILE, help="Where to write the page.  [default: report.html in the first run]")
@click.option("--store", help="The store that the runs read, for pictures and lineage.  [default: cache/features.zarr]")
@click.option("--no-faces", is_flag=True, help="Leave out every picture that shows a face, for passing it on.")
@click.option("--mistakes", type=click.IntRange(0), default=24, show_default=True,
              help="How many misclassified samples to show as pictures.")  # fmt: skip
@click.option("--latex", type=_FILE, help="Write the tables there too, for LaTeX (booktabs, longtable).")
@click.option("--csv", type=_FILE, help="And there, as CSV: a line for each number, unrounded.")
def command(
    run: tuple[str, ...],
    output: Path | None,
    store: str | None,
    no_faces: bool,
    mistakes: int,
    latex: Path | None,
    csv: Path | None,
) -> None:
    """Write one HTML page about runs: scores beside the paper's, confusions, mistakes, lineage; several are compared.

    RUN...: run folders, or their names in the folder of runs. The page needs no network and no other file.
    """
    from tqdm import tqdm

    from mepipe.cli import which
    from mepipe.report import page, tables
    from mepipe.train import runs

    found = [runs.read(path) for path in which.runs(run)]
    opened, no_store = _store(store)
    with tqdm(desc="report", unit="picture", disable=None) as bar:
        made = page.report(found, opened, no_store, faces=not no_faces, limit=mistakes, tick=bar.update)
    path = output or found[0].path / "report.html"
    written = {path: page.html(made)}
    if latex:
        written[latex] = tables.latex(made.named_tables())
    if csv:
        written[csv] = tables.csv_text(made.named_tables())
    for file, content in written.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    if made.faces:
        click.echo(f"It shows faces of {', '.join(made.faces)}; --no-faces makes one to pass on.", err=True)
    click.echo("\n".join(f"{kind:9} {file}" for kind, file in zip(_kinds(latex, csv), written, strict=True)))


def _kinds(latex: Path | None, csv: Path | None) -> list[str]:
    return ["report", *(["LaTeX"] if latex else []), *(["CSV"] if csv else [])]


def _store(url: str | None) -> tuple[Store | None, str]:
    """The store, or why it cannot be read: without one a report has no pictures, unless one was named."""
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.errors import MepipeError

    try:
        return stores.open(url or settings.load().store), ""
    except (MepipeError, OSError) as error:
        if url:
            raise
        return None, f"{error} Name another with --store."
