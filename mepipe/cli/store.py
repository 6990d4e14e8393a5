"""mepipe store: verify, and what the other modules of its commands add."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mepipe.cli import common, store_exchange, store_housekeeping, store_sync

if TYPE_CHECKING:
    from mepipe.store import Store
    from mepipe.store.verify import Findings

SHOWN = 5  # missing samples named


@click.group("store")
def command() -> None:
    """List and verify the store."""


for _one in ("ls", "info", "du", "diff", "gc", "keep", "compact"):
    command.add_command(getattr(store_housekeeping, _one))
command.add_command(store_exchange.export)
command.add_command(store_exchange.import_)
command.add_command(store_sync.push)
command.add_command(store_sync.pull)


def _open(store: str | None) -> Store:
    from mepipe import settings
    from mepipe import store as stores

    return stores.open(store or settings.load().store)


@command.command("verify")
@click.argument("feature", nargs=-1)
@common.store
@click.option("--deep", is_flag=True, help="Read every value back, too.")
@common.as_json
@click.pass_context
def verify(ctx: click.Context, feature: tuple[str, ...], store: str | None, deep: bool, as_json: bool) -> None:
    """Check that nothing is damaged: refs, metadata, ledgers, size of every chunk; --deep: every value.

    FEATURE...: of features, only these. What is damaged is computed again by extract, and nothing else. Exit status 1:
    something is damaged, or missing of what was last extracted.
    """
    from tqdm import tqdm

    from mepipe.store import verify as checks

    opened = _open(store)
    features = [opened.feature(f) for f in feature] or opened.all()
    with tqdm(desc="verify", unit="sample", disable=None) as bar:
        found = checks.everything(opened, features, deep=deep, tick=bar.update)
    if as_json:
        content = {"damaged": found.damaged, "missing": found.missing, "unmarked": found.unmarked}
        click.echo(json.dumps(content, indent=1))
    else:
        _show_findings(found)
        click.echo(
            f"{found.checked} samples of {len(features)} features {'read back' if deep else 'looked at'}: "
            f"{sum(map(len, found.damaged.values()))} damaged, {sum(map(len, found.missing.values()))} missing"
            f"{'' if deep else '; --deep reads every value'}"
        )
    ctx.exit(1 if found.damaged or found.missing else 0)


def _show_findings(found: Findings) -> None:
    for path, damages in found.damaged.items():
        for sample, problem in damages.items():
            click.echo(f"damaged: {path}: {f'{sample}: ' if sample else ''}{problem}")
    for path, samples in found.missing.items():
        names = ", ".join(samples[:SHOWN]) + (" ..." if len(samples) > SHOWN else "")
        click.echo(f"missing: {path}: {len(samples)} samples ({names}). Run mepipe extract.")
    for path, reason in found.unmarked.items():
        click.echo(f"not marked, so that extract will not mend it yet: {path}: {reason}", err=True)
