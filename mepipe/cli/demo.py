"""mepipe demo."""

from __future__ import annotations

from pathlib import Path

import click

from mepipe.datasets.demo.writer import LAYOUTS


@click.command("demo", epilog="Example: mepipe demo cache/demo --layout samm")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--layout", type=click.Choice(list(LAYOUTS)), default="samm", show_default=True, help="Whose release to imitate."
)
@click.option("--faults", is_flag=True, help="With bad rows and folders, as real releases have them.")
@click.option("--subjects", type=click.IntRange(1), default=8, show_default=True, help="Synthetic people.")
@click.option("--clips", type=click.IntRange(1), default=6, show_default=True, help="Clips of each person.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Other seeds, other clips.")
@click.option("--workers", "-j", type=click.IntRange(1), help="Worker processes.  [default: one per core]")
def command(out: Path, layout: str, faults: bool, subjects: int, clips: int, seed: int, workers: int | None) -> None:
    """Write a look-alike release with synthetic micro-expressions and their ground truth."""
    from tqdm import tqdm

    from mepipe.datasets import demo
    from mepipe.run.executors import default_workers

    with tqdm(desc="demo", unit="clip", disable=None, delay=1) as bar:

        def tick(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summary = demo.write(out, layout, subjects, clips, seed, workers or default_workers(), tick, faults)
    state = "written" if summary.written else "there already"
    click.echo(f"{summary.clips} clips of {summary.subjects} subjects, {summary.frames} frames: {state}, in {out}")
    click.echo(f"Next: mepipe manifest build demo --root {out}", err=True)
