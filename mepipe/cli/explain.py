"""`mepipe explain`: what a run's networks look at, and how they arrange samples, as pictures."""

from __future__ import annotations

import json

import click


@click.command(
    "explain",
    epilog="mepipe train mpt --dataset demo --config tiny --weights random --checkpoints --run runs/kept && "
    "mepipe explain runs/kept",
)
@click.argument("run")
@click.argument("sample", nargs=-1)
@click.option("--store", help="The store that it was trained from.  [default: cache/features.zarr]")
@click.option("--weights", help="Checkpoint file that it began with, or its folder.  [default: cache/weights]")
@click.option(
    "--count", default=4, show_default=True, type=click.IntRange(1), help="Right, and wrong, samples on the sheet."
)
@click.option("--json", "as_json", is_flag=True, help="Print the paths as JSON.")
def command(
    run: str, sample: tuple[str, ...], store: str | None, weights: str | None, count: int, as_json: bool
) -> None:
    """Show what the networks of a RUN, trained with --checkpoints, see in its test samples.

    Without SAMPLE: where samples lie (t-SNE), which are alike (cosines), and a sheet of right and wrong ones. With
    SAMPLE: that sample's attention and Grad-CAM. Each sample is shown by the network that was not trained on its
    subject. Pictures and arrays are written to RUN/explain.
    """
    from tqdm import tqdm

    from mepipe import settings
    from mepipe import store as stores
    from mepipe.cli import which
    from mepipe.explain import rebuild, show

    found = settings.load()
    url = store or found.store
    (path,) = which.runs([run])
    trained, opened = rebuild.rebuild(path, url, weights or str(found.weights)), stores.open(url)
    if sample:
        written = show.samples(trained, opened, sample)
    else:
        with tqdm(total=len(trained.folds), unit="fold", disable=None) as bar:
            written = show.overview(trained, opened, count, bar.update)
    if as_json:
        click.echo(json.dumps([str(one) for one in written]))
        return
    for one in written:
        click.echo(one)
    if commands := show.lacking(trained, opened, next(iter(sample), None)):
        click.echo(f"The store lacks the pictures that were embedded. They come by: {'; '.join(commands)}", err=True)
    elif sample and not written:
        click.echo(f"{trained.job.model.name} has no maps: what it reads are no pictures.", err=True)
