"""What `extract` and the stages' own commands share: options, the run with its bar, the summary."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mepipe.errors import UsageError

if TYPE_CHECKING:
    from mepipe.datasets.manifest import Sample
    from mepipe.recipe.resolve import Resolved
    from mepipe.run.extract import Summary
    from mepipe.run.plan import Plan

SHOWN = 20  # clips of a dry run
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    click.option("--dataset", "-d", help="A database that has a manifest: manifests/<dataset>.csv."),
    click.option(
        "--manifest",
        "-m",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Your own manifest; its clips are relative to its folder.",
    ),
    click.option("--recipe", "-r", default="features", show_default=True, help="A recipe's name, or its file."),
    click.option("--root", type=click.Path(file_okay=False, path_type=Path), help="Where the release lies."),
    click.option("--store", help="The store, a folder.  [default: cache/features.zarr]"),
    click.option("--upstream", help="A store to take from what is missing; none: compute it.  [default: none]"),
    click.option("--sample", "only", multiple=True, metavar="ID", help="Compute only these samples' clips."),
    click.option("--workers", "-j", type=click.IntRange(1), help="Worker processes.  [default: one per core]"),
    click.option("--device", help="Where stages compute that can choose: cpu, cuda, cuda:1.  [default: cpu]"),
    click.option("--retry-failed", is_flag=True, help="Try again what failed for good, too."),
    click.option("--dry-run", "-n", is_flag=True, help="Print what would be computed, and stop."),
    click.option("--why", is_flag=True, help="With --dry-run: say what changed."),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
]


def options(function: F) -> F:
    """Add the options of an extraction to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class Request:
    """The options of an extraction, as given."""

    dataset: str | None
    manifest: Path | None
    recipe: str
    root: Path | None
    store: str | None
    upstream: str | None
    only: tuple[str, ...]
    workers: int | None
    device: str | None
    retry_failed: bool
    dry_run: bool
    why: bool
    as_json: bool


def run(request: Request, ref: str, nodes: dict[str, Resolved], wanted: list[str]) -> None:
    """Plan, compute, report; exits with 1 where a sample failed."""
    from tqdm import tqdm

    from mepipe.recipe.resolve import needed
    from mepipe.run import preload

    if not request.dry_run and request.workers != 1:
        preload.start(module for name in needed(nodes, wanted) for module in nodes[name].stage.loads)
    from mepipe import settings, store
    from mepipe.run import devices, executors, extract, plan

    config = settings.load()
    device = request.device or config.device
    if not request.dry_run:
        devices.check(device)
    dataset, samples, root = _samples(request, config)
    place = request.store or config.store
    behind = config.upstream if request.upstream is None else request.upstream
    target = store.Store(store.at(place)) if request.dry_run else store.create(place)
    with tqdm(total=len(samples), desc="reading clips", unit="clip", disable=None, leave=False, delay=1) as bar:
        todo = plan.make(
            target,
            dataset,
            samples,
            root,
            nodes,
            wanted,
            retry_failed=request.retry_failed,
            device=device,
            upstream="" if behind == "none" else behind,
            tick=bar.update,
        )
    if request.only:
        todo = _restrict(todo, request.only)
    click.echo(_plan_line(todo), err=True)
    if request.dry_run:
        _show_dry_run(todo, request)
        return
    workers = min(request.workers or executors.default_workers(), max(1, len(todo.tasks)))
    comes = tqdm(desc="from upstream", unit="B", unit_scale=True, disable=None if todo.upstream else True)
    with comes, tqdm(total=len(todo.tasks), desc="extract", unit="clip", disable=None) as bar:

        def tick(summary: Summary) -> None:
            bar.set_postfix(failed=len(summary.failed_samples), refresh=False)
            bar.update()

        try:
            summary = extract.run(todo, ref, workers, tick, comes.update)
        except KeyboardInterrupt:
            bar.close()
            click.echo("Stopped. What was finished is kept; run the same command again to go on.", err=True)
            sys.exit(130)
    _show(todo, summary, request.as_json)
    if summary.failed:
        sys.exit(1)


def _samples(request: Request, config: Any) -> tuple[str, list[Sample], Path]:
    from mepipe.datasets import manifest
    from mepipe.store import check_dataset_name

    if (request.dataset is None) == (request.manifest is None):
        msg = "Say --dataset NAME or --manifest FILE, one of them."
        raise UsageError(msg)
    if request.manifest is not None:
        name = check_dataset_name(request.manifest.stem)
        return name, manifest.read(request.manifest), request.root or request.manifest.parent
    assert request.dataset is not None
    dataset = check_dataset_name(request.dataset)
    samples = manifest.read(config.manifest(dataset))
    root = request.root or config.root(dataset)
    if not root.is_dir():
        msg = f"The root of {dataset} is {root}, and there is no such folder. Mount it, or say --root DIR."
        raise UsageError(msg)
    return dataset, samples, root


def _restrict(todo: Plan, only: tuple[str, ...]) -> Plan:
    from dataclasses import replace

    from mepipe.names import nearest

    known = [s.id for s in todo.samples]
    for name in only:
        if name not in known:
            msg = f"No sample {name!r} in {todo.dataset}.{nearest(name, known)}"
            raise UsageError(msg)
    behind = {node: {s: taken[s] for s in taken if s in only} for node, taken in todo.upstream.items()}
    return replace(todo, tasks=[t for t in todo.tasks if t.sample.id in only], upstream=behind)


def _plan_line(todo: Plan) -> str:
    missing = sum(len(t.wanted) for t in todo.tasks)
    adopted = sum(len(taken) for taken in todo.adopt.values())
    behind = sum(r.state == "done" for taken in todo.upstream.values() for _, r in taken.values())
    origins = {"from an earlier snapshot": adopted, "from upstream": behind}
    told = ", ".join(f"{count} {origin}" for origin, count in origins.items() if count)
    failed = sum(len(f) for f in todo.failed.values())
    return (
        f"{todo.dataset}: {len(todo.samples)} clips x {len(todo.stored)} features: "
        f"{sum(todo.cached.values())} cached{f' ({told})' if told else ''}, "
        f"{missing} to compute{f', {failed} known to fail' if failed else ''}"
    )


def _show_dry_run(todo: Plan, request: Request) -> None:
    wanted: dict[str, Any] = {t.sample.id: sorted(t.wanted) for t in todo.tasks}
    if request.why:
        from mepipe.run import why

        wanted = why.reasons(todo)
    if request.as_json:
        click.echo(json.dumps({"snapshot": todo.snapshot, "compute": wanted, "cached": todo.cached}, indent=1))
        return
    for sample, nodes in list(wanted.items())[:SHOWN]:
        if not request.why:
            click.echo(f"  {sample}: {', '.join(nodes)}")
            continue
        for reason in dict.fromkeys(nodes.values()):
            click.echo(f"  {sample}: {reason} ({', '.join(n for n in nodes if nodes[n] == reason)})")
    if len(wanted) > SHOWN:
        click.echo(f"  … and {len(wanted) - SHOWN} more clips; --json names all")


def _show(todo: Plan, summary: Summary, as_json: bool) -> None:
    if as_json:
        content = {
            "dataset": todo.dataset,
            "store": todo.store.url,
            "snapshot": summary.snapshot,
            "features": {n: f"{summary.snapshot}/{todo.nodes[n].folder}" for n in todo.stored},
            "computed": dict(summary.computed),
            "cached": summary.cached,
            "upstream": summary.upstream,
            "failed": summary.failed,
            "seconds": {k: round(v, 3) for k, v in summary.seconds.items()},
            "bytes": summary.written,
            "wall": round(summary.wall, 3),
        }
        click.echo(json.dumps(content, indent=1))
        return
    width = max(len(n) for n in todo.stored)
    click.echo(f"{'feature':{width}}  computed  cached  failed  key")
    for name in todo.stored:
        row = (summary.computed[name], summary.cached[name], len(summary.failed.get(name, {})))
        click.echo(f"{name:{width}}  {row[0]:8}  {row[1]:6}  {row[2]:6}  {todo.nodes[name].key[:8]}")
    if summary.seconds:
        stages = sorted(summary.seconds.items(), key=lambda item: -item[1])
        click.echo("seconds: " + ", ".join(f"{stage} {s:.1f}" for stage, s in stages) + f"; wall {summary.wall:.1f}")
    click.echo(f"{summary.written / 1e6:.1f} MB written to {todo.store.url}/{summary.snapshot}")
    reasons = Counter(summary.failed_samples.values())
    for reason, count in reasons.most_common():
        names = [s for s, r in summary.failed_samples.items() if r == reason]
        shown = ", ".join(names[:5]) + (f" and {count - 5} more" if count > 5 else "")
        click.echo(f"failed: {shown}: {reason}", err=True)
