"""mepipe store: ls, info, verify."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mepipe.store import Store

_store = click.option("--store", help="The store, a folder.  [default: cache/features.zarr]")
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group("store")
def command() -> None:
    """List and verify the store."""


def _open(store: str | None) -> Store:
    from mepipe import settings
    from mepipe import store as stores

    return stores.open(store or settings.load().store)


@command.command("ls")
@_store
@_json
def ls(store: str | None, as_json: bool) -> None:
    """List snapshots and features, with what is in them."""
    rows = [
        {
            "feature": f.path,
            "shape": list(f.shape),
            "dtype": str(f.dtype),
            "dims": list(f.dims),
            "units": f.attributes["units"],
            "done": len(f.done),
            "samples": len(f),
        }
        for f in _open(store).all()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    width = max((len(r["feature"]) for r in rows), default=7)
    for row in rows:
        shape = " x ".join(map(str, row["shape"]))
        click.echo(
            f"{row['feature']:{width}}  {row['done']}/{row['samples']} done  {row['dtype']} {shape}  {row['units']}"
        )


@command.command("info")
@click.argument("feature")
@_store
@_json
def info(feature: str, store: str | None, as_json: bool) -> None:
    """Print what made a feature: stage, version, parameters, libraries, and the same of all it came from.

    FEATURE is demo/flow.tvl1, or exactly demo@7c1d09ab/flow.tvl1-4f2a9c1e.
    """
    found = _open(store).feature(feature)
    if as_json:
        click.echo(json.dumps({"path": found.path, "shape": found.shape, **found.attributes}, indent=1))
        return
    click.echo(f"{found.path}\nkey     {found.key}")
    click.echo(f"array   {found.dtype} {found.shape} {found.dims}, {found.attributes['units']}")
    click.echo(f"reads   {', '.join(found.attributes['reads'])}")
    lineage, indent = found.attributes["lineage"], ""
    while isinstance(lineage, dict):
        click.echo(f"{indent}{lineage['stage']} version {lineage['version']}")
        for name, value in {**lineage["params"], **lineage["libraries"]}.items():
            click.echo(f"{indent}    {name} = {value}")
        lineage, indent = lineage["upstream"], indent + "  "
    click.echo(f"{indent}{lineage}")


@command.command("verify")
@click.argument("feature", nargs=-1)
@_store
@_json
@click.pass_context
def verify(ctx: click.Context, feature: tuple[str, ...], store: str | None, as_json: bool) -> None:
    """Read back every sample and compare it with its digest; what is damaged is computed again by extract.

    FEATURE...: only these. Exit status 1: something was damaged.
    """
    from tqdm import tqdm

    from mepipe.store import verify as checks

    opened = _open(store)
    features = [opened.feature(f) for f in feature] or opened.all()
    damaged: dict[str, dict[str, str]] = {}
    with tqdm(total=sum(len(f.done) for f in features), desc="verify", unit="sample", disable=None) as bar:
        for one in features:
            found = checks.verify(one, bar.update)
            if found:
                damaged[one.path] = found
    if as_json:
        click.echo(json.dumps(damaged, indent=1))
    else:
        for path, samples in damaged.items():
            for sample, reason in samples.items():
                click.echo(f"damaged: {path}: {sample}: {reason}")
        checked = sum(len(f.done) for f in features)
        click.echo(
            f"{checked} samples of {len(features)} features read back, {sum(map(len, damaged.values()))} damaged"
        )
    ctx.exit(1 if damaged else 0)
