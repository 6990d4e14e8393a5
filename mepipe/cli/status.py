"""mepipe status."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from mepipe.cli import common

if TYPE_CHECKING:
    from mepipe.store import Store


@click.command("status", epilog="Exit status 1: something is missing or failed.")
@click.option("--dataset", "-d", help="Only this database.")
@common.store
@click.option("--runs", is_flag=True, help="Say instead which extractions there were, the latest last.")
@common.as_json
@click.pass_context
def command(ctx: click.Context, dataset: str | None, store: str | None, runs: bool, as_json: bool) -> None:
    """Say what is complete, missing, failed, for each database and feature."""
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.store import usage

    opened = stores.open(store or settings.load().store)
    if runs:
        _runs(opened, [dataset] if dataset else opened.datasets(), as_json)
        return
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


def _runs(store: Store, datasets: list[str], as_json: bool) -> None:
    from mepipe.run import log

    found = [{"dataset": name, **run} for name in datasets for run in log.read(store, name)]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for run in found:
        when = datetime.fromtimestamp(run["began"]).astimezone().strftime("%Y-%m-%d %H:%M")
        seconds = {stage: s for stage, s in run["seconds"].items() if isinstance(s, (int, float))}
        longest = max(seconds, key=lambda stage: seconds[stage], default="")
        share = f", {longest} {seconds[longest] / (sum(seconds.values()) or 1):.0%}" if longest else ""
        click.echo(
            f"{when}  {run['dataset']}  {run['recipe']}  {run['host']}, {run['by']}: {sum(run['computed'].values())} "
            f"computed, {sum(run['failed'].values())} failed in {run['wall']:.0f} s{share}; {run['ended']}"
        )


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
