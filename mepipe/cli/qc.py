"""mepipe qc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mepipe.cli import common

if TYPE_CHECKING:
    from mepipe.store import Store

_FILE = click.Path(dir_okay=False, path_type=Path)


class _Command(click.Command):
    """Its help ends with every flag, its limit and where that comes from: from the same table that judges."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from mepipe.qc.judge import explained

        rows = []
        for name, about in explained().items():
            side = "below" if about["below"] else "above"
            rows.append((name, f"{side} {about['limit']:g} {about['unit']}: {about['why']}."))
        with formatter.section("Flags"):
            formatter.write_dl(rows)
        super().format_epilog(ctx, formatter)


@click.command(
    "qc",
    cls=_Command,
    epilog="Limits are 1.5 to 6 times what clips without fault reach, measured on the demo; pixels are those of a "
    "crop of 224. Examples: mepipe qc --dataset samm; mepipe qc -d samm --gallery samm.html.",
)
@click.option("--dataset", "-d", help="The database.  [default: the only one in the store]")
@click.option("--recipe", "-r", help="The recipe whose features to measure.  [default: all of the newest samples]")
@common.store
@click.option("--all", "everything", is_flag=True, help="Print samples without a flag, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--output", "-o", type=_FILE, help="Where to write the report.  [default: <store>/qc/<dataset>.json]")
@click.option("--gallery", type=_FILE, help="Show the suspicious samples in one file: .html or .png.")
@click.option("--show", type=click.IntRange(1), default=24, show_default=True, help="At most so many in the gallery.")
@click.option("--workers", "-j", type=click.IntRange(1), help="Processes.  [default: one per core]")
@click.option("--strict", is_flag=True, help="Exit with 1 where a sample is suspicious.")
@click.pass_context
def command(
    ctx: click.Context,
    dataset: str | None,
    recipe: str | None,
    store: str | None,
    everything: bool,
    as_json: bool,
    output: Path | None,
    gallery: Path | None,
    show: int,
    workers: int | None,
    strict: bool,
) -> None:
    """Rank samples by what usually goes wrong, from their stored features alone.

    The report is kept beside the features, where `mepipe view` finds it.
    """
    import json

    from tqdm import tqdm

    from mepipe import cores, settings
    from mepipe import store as stores
    from mepipe.cli import which
    from mepipe.qc import sources as found_by
    from mepipe.qc.survey import survey

    if gallery and gallery.suffix.lower() not in (".html", ".png"):
        from mepipe.errors import UsageError

        msg = f"--gallery {gallery}: a page (.html) or a picture (.png) can be written."
        raise UsageError(msg)
    opened = stores.open(store or settings.load().store)
    dataset = which.dataset(opened, dataset)
    sources = found_by.find(opened, dataset, recipe)
    with tqdm(total=len(sources.any), desc="measuring", unit="clip", disable=None, leave=False, delay=2) as bar:
        report = survey(opened.url, dataset, recipe, workers or cores.available(), bar.update)
    where = _keep(opened, report, output)
    if gallery:
        from mepipe.qc import gallery as galleries

        write = galleries.html if gallery.suffix.lower() == ".html" else galleries.png
        gallery.parent.mkdir(parents=True, exist_ok=True)
        write(sources, report, gallery, show)
    flagged = sum(bool(verdict["flags"]) for verdict in report["samples"].values())
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        _table(report, everything)
        click.echo(where)
        if gallery:
            click.echo(f"Gallery: {gallery}")
    ctx.exit(1 if strict and flagged else 0)


def _keep(store: Store, report: dict[str, Any], output: Path | None) -> str:
    """Write the report; returns the line that says where it is, or why it is not."""
    import json

    from mepipe.errors import MepipeError
    from mepipe.store import files, layout
    from mepipe.store.place import Folder

    content = json.dumps(report, indent=1).encode()
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        files.write(output, content)
        return f"Report: {output}"
    if not isinstance(store.place, Folder):
        return f"Report: not kept, since {store.url} is not a folder; say --output FILE."
    path = f"qc/{report['dataset']}.json"
    try:
        layout.make_plain_folder(store.place, "qc")
        store.place.write(path, content)
    except (MepipeError, OSError):
        return f"Report: not kept, since {store.url} cannot be written; say --output FILE."
    return f"Report: {store.place.inside(path)}"


def _table(report: dict[str, Any], everything: bool) -> None:
    from collections import Counter

    rows = {sample: v for sample, v in report["samples"].items() if everything or v["flags"]}
    width = max((len(sample) for sample in rows), default=6)
    if rows:
        click.echo(f"score  {'sample':{width}}  why")
    for sample, verdict in rows.items():
        reasons = [f"{flag['flag']}: {flag['why']}" for flag in verdict["flags"]] or ["-"]
        click.echo(f"{verdict['score']:5.1f}  {sample:{width}}  {reasons[0]}")
        for reason in reasons[1:]:
            click.echo(f"{'':5}  {'':{width}}  {reason}")
    counts = Counter(flag["flag"] for v in report["samples"].values() for flag in v["flags"])
    flagged = sum(bool(v["flags"]) for v in report["samples"].values())
    said = f" ({', '.join(f'{name} {count}' for name, count in counts.most_common())})" if counts else ""
    click.echo(f"{report['dataset']}: {flagged} of {len(report['samples'])} samples are suspicious{said}.")
    for line in report["skipped"]:
        click.echo(line)
