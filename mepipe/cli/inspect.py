"""mepipe inspect."""

from __future__ import annotations

from pathlib import Path

import click

from mepipe.cli import common

ON_A_SHEET = 9


@click.command(
    "inspect",
    epilog="Examples: mepipe inspect 006_1_2 --dataset samm; mepipe inspect --dataset samm (a contact sheet).",
)
@click.argument("sample", required=False)
@click.option("--dataset", "-d", help="The database.  [default: the only one in the store]")
@click.option("--recipe", "-r", help="The recipe whose features to show.  [default: as last extracted]")
@common.store
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the PNG.  [default: cache/pictures/<dataset>-<sample>.png]",
)
def command(
    sample: str | None, dataset: str | None, recipe: str | None, store: str | None, output: Path | None
) -> None:
    """Write one picture that shows a sample's features; without SAMPLE, a contact sheet of several samples."""
    from mepipe import settings
    from mepipe import store as stores
    from mepipe.cli import which
    from mepipe.view import sample as pictures

    opened = stores.open(store or settings.load().store)
    dataset = which.dataset(opened, dataset)
    features = opened.features(dataset, recipe)
    if sample is None:
        ids = next(iter(features.values())).ids
        chosen = ids[:: max(1, -(-len(ids) // ON_A_SHEET))]
        figure = pictures.sheet([pictures.gather(features, s) for s in chosen], dataset)
    else:
        which.sample(next(iter(features.values())), dataset, sample)
        figure = pictures.one(pictures.gather(features, sample), dataset)
    path = output or Path("cache/pictures") / f"{dataset}-{sample or 'sheet'}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    click.echo(f"{'Contact sheet' if sample is None else 'Picture'}: {path}")
