"""mepipe store ls, info, du, diff, gc, keep, compact."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mepipe.cli import common

if TYPE_CHECKING:
    from mepipe.store import Store
    from mepipe.store.differences import Differences
    from mepipe.store.usage import Row

SHOWN = 20  # samples that differ


def _open(store: str | None) -> Store:
    from mepipe import settings
    from mepipe import store as stores

    return stores.open(store or settings.load().store)


def _size(count: float) -> str:
    """Bytes for people: 999, 1.0 kB, 2.3 GB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now"


@click.command("ls")
@click.option("--dataset", "-d", help="Only this database.")
@common.store
@common.as_json
def ls(dataset: str | None, store: str | None, as_json: bool) -> None:
    """List features: how much is done, size, age, and who names them.

    A feature that a ref names is current; what is not is kept until `mepipe store gc`.
    """
    from mepipe.store import usage

    rows = sorted(usage.rows(_open(store), dataset), key=lambda row: row.path)
    if as_json:
        content = [{"feature": r.path, **asdict(r), "complete": r.complete, "current": bool(r.refs)} for r in rows]
        click.echo(json.dumps([{k: v for k, v in r.items() if k != "path"} for r in content], indent=1))
        return
    width = max((len(r.path) for r in rows), default=7)
    click.echo(f"{'feature':{width}}  {'samples':>14}  failed  missing      size     age")
    for row in rows:
        if row.problem:
            click.echo(f"{row.path:{width}}  damaged: {row.problem}")
            continue
        done = f"{row.done}/{row.samples} done"
        line = f"{row.path:{width}}  {done:>14}  {row.failed:6}  {row.missing:7}  {_size(row.bytes):>8}"
        click.echo(f"{line}  {_age(time.time() - row.modified):>6}  {_marks(row)}".rstrip())


def _marks(row: Row) -> str:
    marks = {"current": bool(row.refs), "incomplete": bool(row.missing), "face": row.shows_face, "foreign": row.foreign}
    return " ".join(name for name, yes in marks.items() if yes)


@click.command("info")
@click.argument("feature")
@common.store
@common.as_json
def info(feature: str, store: str | None, as_json: bool) -> None:
    """Print what made a feature: stage, version, parameters, libraries, weights, and the same of all it came from.

    All of that goes into its key. FEATURE is demo/flow.tvl1, or exactly demo@7c1d09ab/flow.tvl1-4f2a9c1e.
    """
    found = _open(store).feature(feature)
    if as_json:
        content = {"path": found.path, "shape": found.shape, "packed": found.packed, **found.attributes}
        click.echo(json.dumps(content, indent=1))
        return
    about = found.attributes
    click.echo(f"{found.path}\nkey          {found.key}")
    click.echo(f"array        {found.dtype} {found.shape} {found.dims}, {about.get('units', '')}")
    click.echo(f"layout       {'packed: many samples a file' if found.packed else 'plain: files of one sample each'}")
    click.echo(f"fingerprint  the frames of a sample, and its {', '.join(about.get('reads', [])) or 'file'}")
    click.echo(f"face         {'no' if about.get('shows_face') is False else 'yes: it shows one'}")
    lineage, indent = about["lineage"], ""
    while isinstance(lineage, dict):
        click.echo(f"{indent}{lineage['stage']} version {lineage['version']}")
        weights = {f"weights {name}": digest for name, digest in lineage.get("weights", {}).items()}
        for name, value in {**lineage["params"], **lineage["libraries"], **weights}.items():
            click.echo(f"{indent}    {name} = {value}")
        lineage, indent = lineage["upstream"], indent + "  "
    click.echo(f"{indent}{lineage}")


@click.command("du")
@common.store
@common.as_json
def du(store: str | None, as_json: bool) -> None:
    """Say how many bytes each dataset, snapshot and feature takes on the disk.

    Samples that snapshots share are one file with several names: it is counted once, where it comes first.
    """
    from mepipe.store import usage

    rows = list(usage.sizes(_open(store)))
    if as_json:
        click.echo(json.dumps([{"path": path, "bytes": size} for path, size in rows], indent=1))
        return
    for path, size in rows:
        indent = "  " * (path.count("@") + path.count("/"))
        click.echo(f"{_size(size):>8}  {indent}{path or 'in all'}")


@click.command("diff", epilog="Exit status 1: they differ.")
@click.argument("first")
@click.argument("second")
@click.option("--other", help="The store of SECOND.  [default: the same]")
@common.store
@common.as_json
@click.pass_context
def diff(ctx: click.Context, first: str, second: str, other: str | None, store: str | None, as_json: bool) -> None:
    """Say what tells two datasets, snapshots or features apart.

    FIRST and SECOND are two of a kind: samm (its current snapshot), samm@7c1d09ab, samm/flow.tvl1 or
    samm@7c1d09ab/flow.tvl1-4f2a9c1e.
    """
    from mepipe.store import differences

    one = _open(store)
    two = _open(other) if other else one
    if ("/" in first) != ("/" in second):
        ctx.fail("Name two features, or two snapshots, not one of each.")
    if "/" in first:
        found = differences.between_features(one.feature(first), two.feature(second))
    else:
        places = [(s.place, s.snapshot(name)) for s, name in ((one, first), (two, second))]
        found = differences.between_snapshots(*places)
    click.echo(json.dumps(asdict(found), indent=1)) if as_json else _show_differences(found)
    ctx.exit(1 if found else 0)


def _show_differences(found: Differences) -> None:
    for what, (a, b) in found.made.items():
        click.echo(f"made       {what}: {a} -> {b}")
    lines = [f"removed    {s}" for s in found.removed] + [f"added      {s}" for s in found.added]
    for sample, fields in found.changed.items():
        lines.append(f"changed    {sample}: " + ", ".join(f"{n} {a} -> {b}" for n, (a, b) in fields.items()))
    for line in lines[:SHOWN]:
        click.echo(line)
    if len(lines) > SHOWN:
        click.echo(f"… and {len(lines) - SHOWN} more samples; --json names all")
    if not found:
        click.echo("no difference")


@click.command("gc")
@click.option("--yes", is_flag=True, help="Remove it.  [default: say what would be]")
@click.option("--keep", "names", multiple=True, metavar="FEATURE", help="Not this one, or this snapshot; many times.")
@click.option("--grace", type=click.FloatRange(0), default=14, show_default=True, metavar="DAYS", help="Younger stays.")
@common.store
@common.as_json
def gc(yes: bool, names: tuple[str, ...], grace: float, store: str | None, as_json: bool) -> None:
    """Remove features and snapshots that no ref and no keep list (`mepipe store keep`) names, once they are old enough.

    What a ref named until lately stays as well, and what an extraction is using. Refs are those of the whole team.
    """
    from mepipe.store import housekeeping

    opened = _open(store)
    extra = frozenset(n if n in opened.snapshots() else opened.feature(n).path for n in names)
    found = housekeeping.gc(opened, remove=yes, grace=grace * 86400, extra=extra)
    total = sum(one.bytes for one in found.doomed)
    if as_json:
        content = {"removed": yes, "bytes": total, "doomed": [asdict(d) for d in found.doomed], "spared": found.spared}
        click.echo(json.dumps(content, indent=1))
        return
    for one in found.doomed:
        click.echo(f"{_size(one.bytes):>8}  {_age(time.time() - one.modified):>6}  {one.kind:8}  {one.path}")
    for path in found.spared:
        click.echo(f"left, since somebody uses it now: {path}")
    click.echo(f"{_size(total)} {'removed' if yes else 'would go; --yes removes it'}")


@click.command("keep")
@click.argument("feature", required=False)
@click.option("--remove", is_flag=True, help="Keep it no longer.")
@common.store
@common.as_json
def keep(feature: str | None, remove: bool, store: str | None, as_json: bool) -> None:
    """Keep FEATURE, or a whole snapshot, from gc; without it: print the keep list."""
    from mepipe.store import housekeeping

    opened = _open(store)
    if feature:
        path = housekeeping.keep(opened, feature, remove=remove)
        click.echo(f"{'no longer kept' if remove else 'kept'}: {path}", err=as_json)
    if as_json or not feature:
        kept = housekeeping.kept_by_name(opened)
        click.echo(json.dumps(kept, indent=1) if as_json else "\n".join(kept) or "nothing is kept by name")


@click.command("compact")
@click.argument("feature", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="Back to files of one sample each, which extract can repair.")
@common.store
@common.as_json
def compact(feature: tuple[str, ...], undo: bool, store: str | None, as_json: bool) -> None:
    """Pack a finished FEATURE into few large files, for archives and object storage.

    Every value is read back and compared before the packed files count. The others go with the next gc.
    """
    from tqdm import tqdm

    from mepipe.store import packing

    opened = _open(store)
    rows: list[dict[str, Any]] = []
    for one in [opened.feature(name) for name in feature]:
        with tqdm(total=len(one.done), desc="unpack" if undo else "pack", unit="sample", disable=None) as bar:
            new = (packing.unpack if undo else packing.pack)(one, bar.update)
        rows.append({"feature": new.path, "packed": new.packed, "changed": new.packed != one.packed})
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        was = "" if row["changed"] else "already "
        click.echo(f"{row['feature']}: {was}{'packed' if row['packed'] else 'plain'}")
