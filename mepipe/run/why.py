"""Why a sample of a feature is computed: what changed since the store last had it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mepipe.run.plan import Plan
from mepipe.store.feature import Feature, read_table
from mepipe.store.ledger import Record


def reasons(plan: Plan) -> dict[str, dict[str, str]]:
    """{sample: {node: reason}} of all that a plan computes."""
    found: dict[str, dict[str, str]] = {task.sample.id: {} for task in plan.tasks}
    rows = {row["id"]: row for row in plan.rows}
    for name in plan.stored:
        before = _before(plan, name)
        known = before.records if before else {}
        table = read_table(plan.store.place, before.path.split("/")[0]).to_dict("index") if before else {}
        made = "; ".join(_made_otherwise(before.attributes["lineage"], plan.nodes[name].lineage)) if before else ""
        for task in plan.tasks:
            sample = task.sample.id
            if name in task.wanted:
                changed = list(_changed(table.get(sample), rows[sample], plan.nodes[name].reads)) if before else []
                found[sample][name] = made or "; ".join(changed) or _state(known.get(sample))
    return found


def _before(plan: Plan, name: str) -> Feature | None:
    """The feature of a node as the store last had it: of the same key where there is one, else of another."""
    features = [f for f in plan.store.all() if f.path.startswith(f"{plan.dataset}@") and f.attributes["node"] == name]
    same = [f for f in features if f.key == plan.nodes[name].key]
    now = [f for f in same if f.path.startswith(f"{plan.snapshot}/")]
    latest = sorted(same or features, key=lambda f: f.place.modified(f"{f.path}/zarr.json"))
    return next(iter(now or latest[::-1]), None)


def _changed(old: dict[Any, Any] | None, new: dict[str, Any], reads: tuple[str, ...]) -> Iterator[str]:
    if old is None:
        yield "new sample"
        return
    for field in reads:
        before, after = old[field], -1 if new[field] is None else new[field]
        if before != after:
            yield f"{field} changed {before} -> {after}"
    if old["frames"] != new["frames"]:
        yield "frames changed"


def _made_otherwise(old: Any, new: Any) -> Iterator[str]:
    """What differs between two lineages, from the last stage back."""
    while isinstance(old, dict) and isinstance(new, dict):
        if old["stage"] != new["stage"]:
            yield f"made by {new['stage']}, not by {old['stage']}"
            return
        flat_old, flat_new = (
            {"version": x["version"], **x["params"], **x["libraries"], **x.get("weights", {})} for x in (old, new)
        )
        for name in flat_old.keys() | flat_new.keys():
            if flat_old.get(name) != flat_new.get(name):
                yield f"{new['stage']}.{name} {flat_old.get(name)} -> {flat_new.get(name)}"
        old, new = old["upstream"], new["upstream"]


def _state(record: Record | None) -> str:
    return "not computed yet" if record is None else f"{record.state}: {record.reason}"
