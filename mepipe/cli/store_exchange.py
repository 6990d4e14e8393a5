"""mepipe store export and import."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mepipe.cli import common

if TYPE_CHECKING:
    from mepipe.store import Store
    from mepipe.store.arrival import Arrived
    from mepipe.store.feature import Feature
    from mepipe.store.foreign_arrays import About


@click.command("export", epilog="mepipe store export samm-flow.h5 --feature samm/flow.tvl1")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--feature", "names", multiple=True, help="demo/flow.tvl1, or exactly as store ls says; many times.")
@click.option("--dataset", help="All current features of a dataset.  [default: of every dataset]")
@click.option("--with-faces", is_flag=True, help="Also features that show a face: their licence must allow it.")
@click.option("--layout", type=click.Choice(["h5", "npz"]), default="h5", show_default=True)
@common.store
@click.pass_context
def export(
    ctx: click.Context,
    file: Path,
    names: tuple[str, ...],
    dataset: str | None,
    with_faces: bool,
    layout: str,
    store: str | None,
) -> None:
    """Write features into one HDF5 FILE for a collaborator: arrays, sample table, lineage, digests.

    It comes back with `mepipe store import FILE`. With --layout npz: a new folder FILE, an .npz for each sample.
    Exit status 1: some samples are damaged and were left out.
    """
    from tqdm import tqdm

    from mepipe import settings
    from mepipe import store as stores
    from mepipe.store import exchange, npz

    opened = stores.open(store or settings.load().store)
    features = _chosen(opened, names, dataset)
    faces = [f for f in features if exchange.shows_face(f) and not with_faces]
    kept = [f for f in features if f not in faces]
    for feature in faces:
        click.echo(f"left out  {feature.path}: it shows a face (--with-faces puts it in, if its licence allows it)")
    if not kept:
        ctx.fail("Nothing is left to export.")
    with tqdm(total=sum(map(len, kept)), desc="export", unit="sample", disable=None) as bar:
        if layout == "npz":
            damaged = npz.export(kept, file, bar.update)
        else:
            damaged = exchange.export(opened, kept, file, bar.update)
    for feature in kept:
        gone = len(damaged.get(feature.path, {}))
        click.echo(f"exported  {feature.path}: {len(feature.done) - gone} of {len(feature)} samples")
    _name_damaged(damaged)
    files = [file] if file.is_file() else [p for p in file.rglob("*") if p.is_file()]
    click.echo(f"{file}: {sum(p.stat().st_size for p in files) / 1e6:.1f} MB")
    ctx.exit(1 if damaged else 0)


def _chosen(opened: Store, names: Iterable[str], dataset: str | None) -> list[Feature]:
    """The features that are asked for, each once."""
    found = [opened.feature(name) for name in names]
    if dataset or not names:
        for one in [dataset] if dataset else opened.datasets():
            found += opened.features(one).values()
    return list({feature.path: feature for feature in found}.values())


def _name_damaged(damaged: dict[str, dict[str, str]]) -> None:
    for path, samples in damaged.items():
        for sample, reason in samples.items():
            click.echo(f"damaged   {path}: {sample}: {reason}")


@click.command(
    "import",
    epilog="mepipe store import samm-flow.h5; mepipe store import flows/ --csv flows.csv --dataset samm "
    "--dims y,x,channel --channels u,v,strain --units px --no-face",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--csv", "listing", type=click.Path(path_type=Path), help="The samples: id, subject, emotion, file.")
@click.option("--dataset", help="Which dataset they are of.")
@click.option("--node", help="What to call the feature.  [default: as SOURCE]")
@click.option("--dims", default="", help="Axes as they are in the files, such as y,x,channel.")
@click.option("--channels", default="", help="Names along the axis channel, such as u,v,strain.")
@click.option("--units", default="", help="Units of the values, such as px.")
@click.option("--resize", metavar="HxW", help="Bring each to this size by averaging areas; values are not scaled.")
@click.option("--variable", default="", help="The array in SOURCE that holds all samples, where it holds several.")
@click.option("--shows-face/--no-face", default=None, help="Whether a face can be seen in it.")
@click.option("--strict", is_flag=True, help="Import nothing where a row is bad.")
@common.store
@click.pass_context
def import_(
    ctx: click.Context,
    source: Path,
    listing: Path | None,
    dataset: str | None,
    node: str | None,
    dims: str,
    channels: str,
    units: str,
    resize: str | None,
    variable: str,
    shows_face: bool | None,
    strict: bool,
    store: str | None,
) -> None:
    """Put features from elsewhere into the store.

    SOURCE is a file of `mepipe store export`, checked on arrival against its digests. With --csv it is a folder of
    .npy, .npz, .png or .jpg, or an .h5 or .mat file (v5, v7.3), of features computed elsewhere: the list says which
    sample and subject each is of and its emotion. Exit status 1: some samples could not be taken, and are named.
    """
    from mepipe import settings
    from mepipe.errors import UsageError

    url = store or settings.load().store
    if listing is None:
        given = [dataset, node, dims, channels, units, resize, variable, shows_face is not None, strict]
        if any(given):
            msg = "Those options are for features computed elsewhere. Say --csv LIST.csv too."
            raise UsageError(msg)
        ctx.exit(_import_package(url, source))
    if dataset is None or shows_face is None:
        msg = "Say --dataset NAME, and --shows-face or --no-face: faces are personal data, and stay out of exports."
        raise UsageError(msg)
    from mepipe.store.foreign_arrays import About

    about = About(
        node=node or re.sub(r"[^a-z0-9._]+", "-", source.stem.lower()).strip("-._"),
        shows_face=shows_face,
        dims=_parts(dims),
        channels=_parts(channels),
        units=units,
        resize=_size(resize),
        variable=variable,
    )
    ctx.exit(_import_foreign(url, source, listing, dataset, about, strict))


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text else ()


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if not found:
        raise click.BadParameter(f"{text!r}: height x width, such as 28x28.", param_hint="--resize")
    return int(found[1]), int(found[2])


def _import_package(url: str, source: Path) -> int:
    from tqdm import tqdm

    from mepipe import store as stores
    from mepipe.store import arrival, package

    with package.opened(source) as found:
        opened = stores.create(url)
        arrival.compare(opened, found.features)
        with tqdm(total=sum(len(one.records) for one in found.features), unit="sample", disable=None) as bar:
            arrived = [arrival.take(opened, one, bar.update) for one in found.features]
        names = package.set_refs(opened, found)
    for one in arrived:
        _say(one)
    click.echo(f"found by  {', '.join(names)}")
    return 1 if any(one.damaged for one in arrived) else 0


def _say(one: Arrived) -> None:
    failed = f", {len(one.failed)} failed where they were computed" if one.failed else ""
    click.echo(f"imported  {one.path}: {one.written} samples, {one.present} were here{failed}")
    _name_damaged({one.path: dict(one.damaged)})


def _import_foreign(url: str, source: Path, listing: Path, dataset: str, about: About, strict: bool) -> int:
    from tqdm import tqdm

    from mepipe import store as stores
    from mepipe.store import arrival, foreign, foreign_list

    stores.check_dataset_name(dataset)
    listed = foreign_list.read(listing, dataset)
    with (
        tqdm(total=2 * len(listed.rows), unit="sample", disable=None) as bar,
        foreign.opened(source, listed, dataset, about, bar.update) as one,
    ):
        failed = {s: r.reason for s, r in one.records.items() if r.state == "failed"}
        if failed and strict:
            lines = "\n".join(failed.values())
            click.echo(f"{lines}\nNothing is imported: {len(failed)} of {len(listed.rows)} rows are bad (--strict).")
            return 1
        opened = stores.create(url)
        foreign.check_name(opened, dataset, about.node)
        arrival.compare(opened, [one])
        arrived = arrival.take(opened, one, bar.update)
        foreign.set_ref(opened, one)
    for reason in failed.values():
        click.echo(f"failed    {reason}")
    _name_damaged({arrived.path: dict(arrived.damaged)})
    if listed.unread:
        click.echo(f"not read  columns {', '.join(listed.unread)}")
    click.echo(
        f"imported  {dataset}/{about.node}: {arrived.written} samples, {arrived.present} were here, "
        f"{len(failed) + len(arrived.damaged)} failed  ({arrived.path})"
    )
    return 1 if failed or arrived.damaged else 0
