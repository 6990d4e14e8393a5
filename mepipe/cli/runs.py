"""`mepipe runs`: list, show and compare run folders."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from mepipe.cli import common

if TYPE_CHECKING:
    from mepipe.train.runs import Run

_runs = click.argument("run", nargs=-1, required=True)


@click.group("runs")
def command() -> None:
    """List, show and compare trainings."""


def _found(names: tuple[str, ...]) -> list[Run]:
    """Runs by path, or by name in the folder of runs."""
    from mepipe.cli import which
    from mepipe.train import runs

    return [runs.read(path) for path in which.runs(names)]


@command.command("ls")
@common.as_json
def ls(as_json: bool) -> None:
    """List runs: what each is, how far it came, and its scores of the last epoch."""
    from mepipe import settings
    from mepipe.train import runs

    found = list(runs.find(settings.load().runs))
    if as_json:
        click.echo(json.dumps([_content(run) for run in found], indent=1))
        return
    if not found:
        click.echo(f"No runs in {settings.load().runs}. Begin one: mepipe train --help")
    width = max((len(run.path.name) for run in found), default=0)
    for run in found:
        when = datetime.fromtimestamp(run.began).astimezone().strftime("%Y-%m-%d %H:%M")
        scores = _scores(run.metrics) if run.metrics else f"{run.folds} folds done, not finished"
        click.echo(f"{run.path.name:{width}}  {when}  {scores}  {run.title}")


@command.command("show")
@_runs
@common.as_json
def show(run: tuple[str, ...], as_json: bool) -> None:
    """Show runs whole: configuration, scores with their intervals, classes, and where the pictures are."""
    found = _found(run)
    if as_json:
        click.echo(json.dumps([_content(one) for one in found], indent=1))
        return
    click.echo("\n\n".join(_whole(one) for one in found))


@command.command("compare")
@_runs
@common.as_json
def compare(run: tuple[str, ...], as_json: bool) -> None:
    """Put runs side by side: scores, what was asked otherwise, and what their papers print on the real databases."""
    from mepipe.train import runs

    found = _found(run)
    papers = {one.path.name: runs.printed(one) for one in found}
    if as_json:
        content = {
            "runs": [_content(one) for one in found],
            "differences": runs.differences(found),
            "papers": {name: [vars(row) for row in rows] for name, rows in papers.items()},
        }
        click.echo(json.dumps(content, indent=1))
        return
    rows = [(one.path.name, one.title, one.metrics or {}) for one in found]
    for one in found:
        rows += [
            ("", f"  of these, {name}", scores) for name, scores in (one.metrics or {}).get("datasets", {}).items()
        ]
    lines = dict.fromkeys(row for rows in papers.values() for row in map(_paper_line, rows))
    labels = [f"{name}  {title}" if name else title for name, title, _ in rows] + [label for label, _ in lines]
    width = max(map(len, labels))
    click.echo(" " * width + "".join(f"{name:>8}" for name in runs.SCORES))
    for label, scores in zip(labels, [*(s for *_, s in rows), *(dict(s) for _, s in lines)], strict=True):
        click.echo(f"{label:<{width}}{_cells(scores)}")
    for name, values in runs.differences(found).items():
        click.echo(f"differs   {name}: {', '.join(map(str, values))}")
    if lines:
        click.echo(
            "Papers' figures are of the real databases, with pretrained weights: no other data compare with them."
        )


def _paper_line(row: Any) -> tuple[str, tuple[tuple[str, float], ...]]:
    label = (
        f"paper, real {'+'.join(row.datasets)}: table {row.table} ({row.configuration}), {row.protocol}, "
        f"{row.classes} classes"
    )
    return label, tuple(row.scores.items())


def _cells(scores: dict[str, Any]) -> str:
    from mepipe.train import runs

    return "".join(f"{scores[name]:8.3f}" if name in scores else f"{'-':>8}" for name in runs.SCORES)


def _scores(metrics: dict[str, Any]) -> str:
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in ("UF1", "UAR", "ACC", "F1") if name in metrics)


def _content(run: Run) -> dict[str, Any]:
    return {"run": str(run.path), "config": run.config, "folds": run.folds, "metrics": run.metrics}


def _whole(run: Run) -> str:
    lines = [f"{run.path}", run.title]
    lines += [f"  {name}: {value}" for name, value in run.config["parameters"].items()]
    if run.metrics is None:
        return "\n".join(
            [*lines, f"{run.folds} folds done, not finished: run its command again, with --run {run.path}"]
        )
    metrics = run.metrics
    lines.append(f"{metrics['reported']}, {metrics['weights']}: {_scores(metrics)}")
    lines += [f"  95 % over subjects: {n} {low:.3f} to {high:.3f}" for n, (low, high) in metrics["intervals"].items()]
    lines += [f"  of these, {name}: {_scores(scores)}" for name, scores in metrics.get("datasets", {}).items()]
    lines += [f"  {name}: F1 {s['F1']:.3f} of {s['samples']}" for name, s in metrics["per_class"].items()]
    lines += [f"{also['what']} ({also['scheme']}): {_scores(also)}" for also in metrics.get("also", {}).values()]
    lines.append(f"oracle ({metrics['oracle']['note']}): {_scores(metrics['oracle'])}")
    lines += [f"picture   {path}" for path in sorted(run.path.glob("*.png"))]
    return "\n".join(lines)
