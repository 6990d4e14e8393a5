"""mepipe store push and pull."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mepipe.cli import common

if TYPE_CHECKING:
    from mepipe.store import Store
    from mepipe.store.feature import Feature
    from mepipe.store.sync import Move, Moved

SHOWN = 5  # damaged samples of a feature
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    click.option("--feature", "-f", "names", multiple=True, help="demo/flow.tvl1, or exactly as store ls says."),
    click.option("--dataset", "-d", help="All that was extracted of a dataset.  [default: of every dataset]"),
    click.option("--store", help="Your own store.  [default: cache/features.zarr]"),
    click.option("--jobs", "-j", type=click.IntRange(1, 64), default=8, show_default=True, help="Samples at once."),
    click.option("--dry-run", "-n", is_flag=True, help="Say what would be moved, and stop."),
    common.as_json,
]
EPILOG = (
    "Stopped at any moment, the same command goes on where it was. Keys and addresses: docs/sharing.md. "
    "Exit status 1: some samples are damaged at the source, and were left out."
)


def _options(function: F) -> F:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command("push", epilog=EPILOG)
@click.argument("url")
@click.option("--with-faces", is_flag=True, help="Also features that show a face: their licence must allow it.")
@_options
@click.pass_context
def push(ctx: click.Context, url: str, with_faces: bool, store: str | None, **given: Any) -> None:
    """Bring features to the store at URL: a folder, s3://bucket/..., ssh://host/...; made where there is none.

    Only what it lacks is moved.
    """
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.store import exchange, sync

    source = stores.open(store or settings.load().store)
    features = sync.choose(source, given.pop("names"), given.pop("dataset"))
    faces = [f for f in features if exchange.shows_face(f) and not with_faces]
    for feature in faces:
        click.echo(f"left out  {feature.path}: it shows a face (--with-faces, if its licence allows it)", err=True)
    kept = [f for f in features if f not in faces]
    if not kept:
        ctx.fail("Nothing is left to push.")
    _sync(ctx, "pushed", source, url, kept, **given)


@click.command("pull", epilog=EPILOG)
@click.argument("url", required=False)
@_options
@click.pass_context
def pull(ctx: click.Context, url: str | None, store: str | None, **given: Any) -> None:
    """Bring features from the store at URL into your own.  [default: the one that MEPIPE_UPSTREAM names]

    Only what it lacks is moved.
    """
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.store import sync

    config = settings.load()
    if not (url or config.upstream):
        ctx.fail("Say where to pull from: mepipe store pull URL, or set MEPIPE_UPSTREAM.")
    source = stores.open(url or config.upstream)
    features = sync.choose(source, given.pop("names"), given.pop("dataset"))
    _sync(ctx, "pulled", source, store or config.store, features, **given)


def _sync(
    ctx: click.Context,
    done: str,
    source: Store,
    target: str,
    features: Sequence[Feature],
    jobs: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    from tqdm import tqdm

    from mepipe import store as stores
    from mepipe.errors import UsageError
    from mepipe.store import place, sync

    there = stores.Store(place.at(target))
    if there.url == source.url:
        msg = f"{there.url} is the store itself. Name another."
        raise UsageError(msg)
    moves = sync.plan(there, features)
    if dry_run:
        _show([_planned(move) for move in moves], "to be moved", [], as_json)
        return
    there = stores.create(target)
    size = sum(move.size for move in moves)
    with tqdm(total=size, desc=done, unit="B", unit_scale=True, unit_divisor=1000, disable=None) as bar:
        found = sync.run(there, moves, jobs, bar.update)
    refs = sync.set_refs(source, there, [f.path for f in features])
    _show([_moved(one) for one in found], done, refs, as_json)
    ctx.exit(1 if any(one.damaged for one in found) else 0)


def _planned(move: Move) -> dict[str, Any]:
    row = {"feature": move.source.path, "samples": len(move.new), "bytes": move.size}
    return {**row, "present": move.present, "damaged": {}}


def _moved(one: Moved) -> dict[str, Any]:
    row = {"feature": one.path, "samples": one.samples, "bytes": one.bytes}
    return {**row, "present": one.present, "damaged": dict(one.damaged)}


def _show(rows: list[dict[str, Any]], done: str, refs: list[str], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"features": rows, "refs": refs}, indent=1))
        return
    width = max((len(row["feature"]) for row in rows), default=0)
    for row in rows:
        click.echo(
            f"{row['feature']:{width}}  {row['samples']} {done}, {row['bytes'] / 1e6:.1f} MB; {row['present']} there"
        )
        for sample, problem in list(row["damaged"].items())[:SHOWN]:
            click.echo(f"damaged: {row['feature']}: {sample}: {problem}", err=True)
        if len(row["damaged"]) > SHOWN:
            click.echo(f"damaged: {row['feature']}: {len(row['damaged']) - SHOWN} more; --json names all", err=True)
    if any(row["damaged"] for row in rows):
        click.echo("What is damaged was left out. At the source: mepipe store verify, then mepipe extract.", err=True)
    click.echo(f"{sum(row['samples'] for row in rows)} samples {done}")
