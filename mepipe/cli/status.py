"""mepipe status."""

from __future__ import annotations

import json

import click


@click.command("status", epilog="Exit status 1: something is missing or failed.")
@click.option("--dataset", "-d", help="Only this database.")
@click.option("--store", help="The store, a folder.  [default: cache/features.zarr]")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, dataset: str | None, store: str | None, as_json: bool) -> None:
    """Say what is complete, missing, failed, for each database and feature."""
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.store import usage

    opened = stores.open(store or settings.load().store)
    rows = []
    for name in [dataset] if dataset else opened.datasets():
        for recipe in opened.refs(name):
            for node, feature in opened.features(name, recipe).items():
                found = usage.standing(feature)
                rows.append(
                    {
                        "dataset": name,
                        "recipe": recipe,
                        "node": node,
                        "feature": feature.path,
                        "samples": found.samples,
                        "done": found.done,
                        "missing": found.missing,
                        "failed": found.failed,
                    }
                )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        _table(rows)
    ctx.exit(1 if any(row["missing"] or row["failed"] for row in rows) else 0)


def _table(rows: list[dict]) -> None:
    width = max((len(r["feature"]) for r in rows), default=7)
    click.echo(f"{'recipe':12}  {'feature':{width}}  samples  done  missing  failed")
    for row in rows:
        click.echo(
            f"{row['recipe']:12}  {row['feature']:{width}}  {row['samples']:7}  {row['done']:4}  {row['missing']:7}  "
            f"{len(row['failed']):6}"
        )
    reasons = {(r["dataset"], s): why for r in rows for s, why in r["failed"].items()}
    for (dataset, sample), why in reasons.items():
        click.echo(f"failed: {dataset}/{sample}: {why}")
