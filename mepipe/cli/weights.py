"""mepipe weights: ls, add, fetch, train."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mepipe.cli import common


@click.group("weights")
def command() -> None:
    """List the named weights; put them where mepipe finds them, checked; train our own."""


@command.command("ls")
@common.as_json
def ls(as_json: bool) -> None:
    """List the named weights: which are there, and where to get those that are not."""
    from mepipe import weights

    rows = []
    for known in weights.WEIGHTS.values():
        file = weights.find(known.name)
        rows.append(
            {
                "name": known.name,
                "network": known.network,
                "file": str(file) if file else None,
                "published_as": known.file,
                "origin": known.url or known.origin,
                "licence": known.licence,
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        where = row["file"] or f"not here: {row['published_as']} from {row['origin']}"
        click.echo(f"{row['name']:14}  {where}\n{'':14}  licence: {row['licence']}")


@command.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
def add(name: str, file: Path) -> None:
    """Copy FILE into the weights folder as the weights NAME, if it is what was published and loads."""
    from mepipe import weights

    click.echo(f"{name}: {weights.add(name, file)}")
    click.echo(f"sha256 {weights.digest(name)}", err=True)


@command.command("fetch")
@click.argument("name")
def fetch(name: str) -> None:
    """Download the weights NAME into the weights folder, checked by digest."""
    import sys

    from mepipe import weights

    click.echo(f"{name}: {weights.fetch(name, progress=sys.stderr.isatty())}")


@command.command("train", epilog="Example: mepipe weights train magnet --minutes 60 --out cache/magnet.safetensors")
@click.argument("network", type=click.Choice(["magnet"]))
@click.option("--steps", type=click.IntRange(1), help="Steps of training.  [default: 60000]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Be done after so long, if that is sooner.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default="magnet.safetensors", show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Where to train: cpu, cuda, cuda:1.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Other seeds, other weights.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint beside --out, where there is one.")
def train(
    network: str, steps: int | None, minutes: float | None, out: Path, device: str, seed: int, resume: bool
) -> None:
    """Train a network of ours on drawn data; magnet, for learned magnification, is the only one."""
    from mepipe.networks import magnet_train
    from mepipe.run import devices

    devices.check(device)
    plan = magnet_train.Plan(steps=steps or magnet_train.Plan.steps, minutes=minutes, seed=seed)
    checkpoint = out.with_suffix(".checkpoint.pt")
    net, done = magnet_train.train(plan, checkpoint, device, resume, lambda line: click.echo(line, err=True))
    click.echo("measuring", err=True)
    magnet_train.save(net, out, plan, done, magnet_train.calibrate(net))
    click.echo(f"{network}: {out}, {out.stat().st_size / 1e6:.1f} MB, after {done} steps")
