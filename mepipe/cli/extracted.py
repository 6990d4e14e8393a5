"""What an extraction says: before it begins, while it runs, when it has ended."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mepipe.run.extract import Summary
    from mepipe.run.plan import Plan

SHOWN = 20  # clips of a dry run
REASON = 40  # letters of a reason beside the bar


def plan_line(todo: Plan) -> str:
    """What is there, and what is to do, in one line."""
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


def show_dry_run(todo: Plan, *, why: bool, as_json: bool) -> None:
    """What would be computed; why: and what changed."""
    wanted: dict[str, Any] = {t.sample.id: sorted(t.wanted) for t in todo.tasks}
    if why:
        from mepipe.run.why import reasons

        wanted = reasons(todo)
    if as_json:
        click.echo(json.dumps({"snapshot": todo.snapshot, "compute": wanted, "cached": todo.cached}, indent=1))
        return
    for sample, nodes in list(wanted.items())[:SHOWN]:
        if not why:
            click.echo(f"  {sample}: {', '.join(nodes)}")
            continue
        for reason in dict.fromkeys(nodes.values()):
            click.echo(f"  {sample}: {reason} ({', '.join(n for n in nodes if nodes[n] == reason)})")
    if len(wanted) > SHOWN:
        click.echo(f"  … and {len(wanted) - SHOWN} more clips; --json names all")


def show(todo: Plan, summary: Summary, as_json: bool) -> None:
    """What was done: by feature, by stage; what failed, by reason."""
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
            "shares": {k: round(v, 4) for k, v in summary.shares.items()},
            "by": summary.by,
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
        parts = [f"{stage} {share:.0%} ({summary.seconds[stage]:.1f} s)" for stage, share in summary.shares.items()]
        click.echo(f"stages: {', '.join(parts)}; wall {summary.wall:.1f} s")
    click.echo(f"{summary.written / 1e6:.1f} MB written to {todo.store.url}/{summary.snapshot}")
    reasons = Counter(summary.failed_samples.values())
    for reason, count in reasons.most_common():
        names = [s for s, r in summary.failed_samples.items() if r == reason]
        shown = ", ".join(names[:5]) + (f" and {count - 5} more" if count > 5 else "")
        click.echo(f"failed: {shown}: {reason}", err=True)


def so_far(summary: Summary) -> str:
    """Failures by reason, the most frequent first, and the stage that takes longest: what fits beside a bar."""
    reasons = Counter(reason.split(".")[0][:REASON] for reason in summary.failed_samples.values()).most_common(2)
    failed = f"{len(summary.failed_samples)} failed" + "".join(f", {n} x {reason}" for reason, n in reasons)
    stage, share = next(iter(summary.shares.items()), ("", 0.0))
    return ", ".join(filter(None, (stage and f"{stage} {share:.0%}", failed if reasons else "")))
