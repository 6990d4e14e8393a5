"""mepipe manifest spot."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mepipe.cli import common

if TYPE_CHECKING:
    import numpy as np

    from mepipe.datasets.manifest import Sample
    from mepipe.recipe.resolve import Resolved
    from mepipe.run.extract import Summary
    from mepipe.run.plan import Plan

RECIPE, NODE = "spot", "apex"
SPOTTED = "apex spotted by mepipe"
# A clip without an expression had a share of 0.68 and a peak of 0.06 px at most; one with an expression 0.77 and
# 0.22 px at least (python -m benchmarks --only accuracy_apex).
_LEAST_SHARE, _LEAST_PEAK = 0.7, 0.1


@click.command(
    "spot",
    epilog="Needs the frames. What was spotted is kept in the store: after the next `manifest build`, spotting again "
    "takes seconds. Exit status 1: some samples have no apex still.",
)
@click.argument("dataset")
@click.option("--root", type=click.Path(file_okay=False, path_type=Path), help="Where the release lies.")
@common.store
@click.option("--sample", "only", multiple=True, metavar="ID", help="Only these.  [default: all without an apex]")
@click.option("--workers", "-j", type=click.IntRange(1), help="Worker processes.  [default: one per core]")
@click.option("--retry-failed", is_flag=True, help="Try again what failed for good, too.")
@click.option("--dry-run", "-n", is_flag=True, help="Say which samples have no apex, and stop.")
@common.as_json
def command(
    dataset: str,
    root: Path | None,
    store: str | None,
    only: tuple[str, ...],
    workers: int | None,
    retry_failed: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give samples that have no apex the one that optical flow spots, and write it into the manifest.

    DATASET is a name, or a manifest file. An annotated apex is never touched.
    """
    from mepipe import settings
    from mepipe.datasets import manifest
    from mepipe.recipe.model import load
    from mepipe.recipe.resolve import resolve

    config = settings.load()
    is_file = dataset.endswith(".csv")
    path = Path(dataset) if is_file else config.manifest(dataset)
    todo = _without_apex(manifest.read(path), only)
    if dry_run or not todo:
        _say([s.id for s in todo], as_json, path)
        return
    nodes = resolve(load(RECIPE))
    place = root or (path.parent if is_file else config.root(dataset))
    plan, summary = _run(path.stem, todo, place, nodes, store or config.store, config.upstream, workers, retry_failed)
    found = _found(plan, summary)
    stage = nodes[NODE].stage
    _write(path, todo, {name: int(values[0]) for name, values in found.items()}, f"{stage.name} {stage.version}")
    failed = {s.id: summary.failed_samples.get(s.id, "not computed") for s in todo if s.id not in found}
    _report(path, found, failed, as_json)
    if failed:
        sys.exit(1)


def _without_apex(samples: list[Sample], only: tuple[str, ...]) -> list[Sample]:
    from mepipe.errors import UsageError
    from mepipe.names import nearest

    known = {s.id: s for s in samples}
    for name in only:
        if name not in known:
            msg = f"No sample {name!r} in the manifest.{nearest(name, list(known))}"
            raise UsageError(msg)
        if known[name].apex is not None:
            msg = f"Sample {name} has an apex, {known[name].apex}. To have one spotted, empty it in the manifest first."
            raise UsageError(msg)
    return [s for s in samples if s.apex is None and (not only or s.id in only)]


def _run(
    dataset: str,
    samples: list[Sample],
    root: Path,
    nodes: dict[str, Resolved],
    place: str,
    upstream: str,
    workers: int | None,
    retry_failed: bool,
) -> tuple[Plan, Summary]:
    """Extract the apex of these samples: a snapshot of their own, so that the feature is complete where all succeed."""
    from tqdm import tqdm

    from mepipe import store as stores
    from mepipe.errors import UsageError
    from mepipe.run import executors, extract, plan, preload

    stores.check_dataset_name(dataset)
    if not root.is_dir():
        msg = f"The root of {dataset} is {root}, and there is no such folder. Mount it, or say --root DIR."
        raise UsageError(msg)
    if workers != 1:
        preload.start(module for node in nodes.values() for module in node.stage.loads)
    with tqdm(total=len(samples), desc="reading clips", unit="clip", disable=None, leave=False, delay=1) as bar:
        todo = plan.make(
            stores.create(place), dataset, samples, root, nodes, [NODE],
            retry_failed=retry_failed, upstream=upstream, tick=bar.update,
        )  # fmt: skip
    workers = min(workers or executors.default_workers(todo), max(1, len(todo.tasks)))
    with tqdm(total=len(todo.tasks), desc="spot", unit="clip", disable=None) as bar:
        try:
            # Named as a single node's: other recipes of the dataset tell which snapshot is current.
            return todo, extract.run(todo, f"{RECIPE}+{NODE}", workers, lambda summary: bar.update())
        except KeyboardInterrupt:
            bar.close()
            click.echo("Stopped. What was finished is kept; run the same command again to go on.", err=True)
            sys.exit(130)


def _found(todo: Plan, summary: Summary) -> dict[str, np.ndarray]:
    """{sample: (frame number, px, share)} of those that are done."""
    feature = todo.store.feature(f"{summary.snapshot}/{todo.nodes[NODE].folder}")
    done = set(feature.done)
    return {s.id: feature[s.id] for s in todo.samples if s.id in done}


def _write(path: Path, asked: list[Sample], apexes: dict[str, int], by: str) -> None:
    """Enter the apexes into the manifest as it is now: it may have been edited meanwhile."""
    from mepipe.datasets import manifest
    from mepipe.datasets.manifest import Sample
    from mepipe.errors import MepipeError
    from mepipe.store import files

    rows = {s.id: s for s in manifest.read(path)}
    edited = [s.id for s in asked if rows.get(s.id) != s]
    if edited:
        msg = f"{path} was edited meanwhile: {', '.join(edited)}. Nothing was written; run the same command again."
        raise MepipeError(msg)
    for name, apex in apexes.items():
        sample = rows[name]
        # A frame that the release lacks was seen only as its neighbours' mean: the apex is the nearest that is there.
        there = (n for n in range(sample.onset, sample.offset + 1) if n not in sample.missing)
        nearest = min(there, key=lambda number: abs(number - apex))
        note = "; ".join(filter(None, (sample.note, f"{SPOTTED} {by}")))
        rows[name] = Sample.model_validate({**sample.model_dump(), "apex": nearest, "note": note})
    files.write(path, manifest.dump(rows.values()).encode())


def _doubtful(found: dict[str, np.ndarray]) -> dict[str, str]:
    return {
        name: f"a movement of {peak:.2f} px, {share:.0%} of all motion"
        for name, (_, peak, share) in found.items()
        if share < _LEAST_SHARE or peak < _LEAST_PEAK
    }


def _say(names: list[str], as_json: bool, path: Path) -> None:
    if as_json:
        click.echo(json.dumps({"manifest": str(path), "without apex": names}, indent=1))
        return
    for name in names:
        click.echo(f"  {name}")
    click.echo(f"{path}: {len(names)} samples without an apex" if names else f"{path}: every sample has an apex")


def _report(path: Path, found: dict[str, np.ndarray], failed: dict[str, str], as_json: bool) -> None:
    doubtful = _doubtful(found)
    if as_json:
        spotted = {n: {"apex": int(a), "peak": round(p, 3), "share": round(s, 3)} for n, (a, p, s) in found.items()}
        about = {"manifest": str(path), "spotted": spotted, "doubtful": doubtful, "failed": failed}
        click.echo(json.dumps(about, indent=1))
        return
    click.echo(f"{path}: apex of {len(found)} samples spotted, {len(failed)} left without")
    for name, why in doubtful.items():
        click.echo(f"doubtful: {name}: {why}. Look at the clip.", err=True)
    for name, why in failed.items():
        click.echo(f"no apex: {name}: {why}", err=True)
