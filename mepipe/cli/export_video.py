"""mepipe export-video."""

from __future__ import annotations

from pathlib import Path

import click

from mepipe.cli import common


@click.command(
    "export-video",
    epilog="Examples: mepipe export-video 006_1_2 --dataset samm; "
    "mepipe export-video 006_1_2 -d samm --show frames,strain --speed 0.1 -o talk.gif",
)
@click.argument("sample")
@click.option("--dataset", "-d", help="The database.  [default: the only one in the store]")
@click.option("--recipe", "-r", help="The recipe whose features to show.  [default: as last extracted]")
@common.store
@click.option(
    "--show", default="", help="Nodes side by side, with commas between.  [default: frames,magnify.frames,flow.tvl1]"
)
@click.option("--speed", type=click.FloatRange(0, 10, min_open=True), default=0.2, show_default=True,
              help="1 is real time; a micro-expression lasts less than half a second.")  # fmt: skip
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .mp4 (H.264) or a .gif.  [default: cache/videos/<dataset>-<sample>.mp4]",
)
def command(
    sample: str,
    dataset: str | None,
    recipe: str | None,
    store: str | None,
    show: str,
    speed: float,
    output: Path | None,
) -> None:
    """Write a film of a SAMPLE: the original beside the magnified clip and flow, slowed, each frame at its time."""
    from urllib.parse import quote

    from tqdm import tqdm

    from mepipe import settings
    from mepipe import store as stores
    from mepipe.cli import which
    from mepipe.view import encode, video

    opened = stores.open(store or settings.load().store)
    dataset = which.dataset(opened, dataset)
    features = opened.features(dataset, recipe)
    which.sample(next(iter(features.values())), dataset, sample)
    path = output or Path("cache/videos") / f"{quote(f'{dataset}-{sample}', safe=' ')}.mp4"
    rate = encode.rate(path)
    film = video.film(features, dataset, sample, [name.strip() for name in show.split(",") if name.strip()])
    count = len(film.numbers(speed, rate))
    with tqdm(total=count, desc="film", unit="frame", disable=None) as bar:
        encode.write(path, (picture for picture in video.pictures(film, speed, rate) if bar.update() or True))
    if any(track.face for track in film.tracks):
        click.echo(f"It shows a face of {dataset}: pass it on only under the licence.", err=True)
    click.echo(f"film      {path}  {count / rate:.1f} s, {len(film.tracks)} panels")
