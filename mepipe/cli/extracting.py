"""What `extract` and the stages' own commands share: options, the run with its bar, the summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mepipe.cli import common, extracted
from mepipe.errors import UsageError

if TYPE_CHECKING:
    from mepipe.datasets.manifest import Sample
    from mepipe.recipe.resolve import Resolved
    from mepipe.run.executors import Executor
    from mepipe.run.extract import Summary
    from mepipe.run.plan import Plan

SAY = 0.5  # seconds between two looks at what failed
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
    common.store,
    click.option("--upstream", help="A store to take from what is missing; none: compute it.  [default: none]"),
    click.option("--sample", "only", multiple=True, metavar="ID", help="Compute only these samples' clips."),
    click.option(
        "--workers",
        "-j",
        type=click.IntRange(0),
        help="Worker processes; 0: none, for debugging.  [default: one per core, as many as memory holds]",
    ),
    click.option("--dask", type=click.IntRange(1), metavar="N", help="N worker processes under a Dask of their own."),
    click.option("--scheduler", metavar="URL", help="Give the work to a running Dask cluster: tcp://host:8786."),
    click.option(
        "--timeout",
        type=click.FloatRange(0, min_open=True),
        metavar="SECONDS",
        help="What a single clip may take at most.  [default: 3600]",
    ),
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
    dask: int | None
    scheduler: str | None
    timeout: float | None
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

    _check_who(request)
    if not request.dry_run and request.workers != 0 and not request.scheduler:
        preload.start(module for name in needed(nodes, wanted) for module in nodes[name].stage.loads)
    from mepipe import settings, store
    from mepipe.run import devices, plan

    config = settings.load()
    device = request.device or config.device
    if not request.dry_run and not request.scheduler:  # its workers look for themselves
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
    click.echo(extracted.plan_line(todo), err=True)
    if request.dry_run:
        extracted.show_dry_run(todo, why=request.why, as_json=request.as_json)
        return
    summary = _computed(request, ref, todo)
    extracted.show(todo, summary, request.as_json)
    if summary.failed:
        sys.exit(1)


def _computed(request: Request, ref: str, todo: Plan) -> Summary:
    """Carry out a plan, under its bars; exits with 130 where it is interrupted."""
    from tqdm import tqdm

    from mepipe.run import extract

    comes = tqdm(desc="from upstream", unit="B", unit_scale=True, disable=None if todo.upstream else True)
    with comes, tqdm(total=len(todo.tasks), desc="extract", unit="clip", disable=None) as bar:
        said = 0.0

        def tick(summary: Summary) -> None:
            nonlocal said
            if not bar.disable and time.monotonic() > said + SAY:
                said = time.monotonic()
                bar.set_postfix_str(extracted.so_far(summary), refresh=False)
            bar.update()

        def tell(line: str) -> None:
            bar.write(line, file=sys.stderr)

        try:
            return extract.run(todo, ref, _executor(request, todo, tell), tick, comes.update)
        except KeyboardInterrupt:
            bar.close()
            click.echo("Stopped. What was finished is kept; run the same command again to go on.", err=True)
            sys.exit(130)


def _check_who(request: Request) -> None:
    given = [f"--{name}" for name in ("workers", "dask", "scheduler") if getattr(request, name) is not None]
    if len(given) > 1:
        msg = f"{' and '.join(given)}: one of them says who computes. Leave out the other."
        raise UsageError(msg)


def _executor(request: Request, todo: Plan, tell: Callable[[str], object]) -> Executor:
    """Who computes."""
    from functools import partial

    from mepipe.run import executors, workers

    if request.workers == 0:
        return executors.inline
    most, timeout = max(1, len(todo.tasks)), request.timeout or workers.TIMEOUT
    if request.dask or request.scheduler:
        from mepipe.run import cluster

        if request.scheduler:
            return partial(cluster.running, address=request.scheduler, timeout=timeout, tell=tell)
        return partial(cluster.own, count=min(request.dask or 1, most), timeout=timeout, tell=tell)
    count = min(request.workers or executors.default_workers(todo), most)
    return partial(executors.processes, count=count, timeout=timeout)


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
