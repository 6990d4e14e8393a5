"""A store of the team's behind one's own (MEPIPE_UPSTREAM), which is only read: what it has is not computed again.

It is asked only where something is missing here. One that cannot be asked then is an error, not a reason to compute
for hours what is there: who is away from it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mepipe import store as stores
from mepipe.errors import MepipeError
from mepipe.store import sync, transfer
from mepipe.store.feature import Feature
from mepipe.store.ledger import Record
from mepipe.store.place import PlaceError

if TYPE_CHECKING:
    from mepipe.run.plan import Plan

NONE = "none"
Known = dict[tuple[str, str], tuple[Feature, Record]]


def known(url: str, dataset: str, folder: str, key: str) -> Known:
    """By sample and fingerprint, what a store holds of a key: done, or failed for good.

    A feature that is damaged as a whole is passed over.
    """
    found: Known = {}
    try:
        opened = stores.open(url)
        for snapshot in opened.snapshots(dataset):
            feature = opened.holding(snapshot, folder)
            for record in _records(feature, key) if feature is not None else ():
                if record.state == "done" or (record.state == "failed" and record.final):
                    found.setdefault((record.sample, record.fingerprint), (feature, record))  # type: ignore[arg-type]
    except (MepipeError, OSError) as error:
        msg = f"The upstream store cannot be asked. {error} To compute everything here: --upstream {NONE}"
        raise MepipeError(msg) from error
    return found


def _records(feature: Feature, key: str) -> list[Record]:
    try:
        return (
            [sync.checked(feature, r) for r in feature.records.values()] if feature.key == key and feature.ids else []
        )
    except (PlaceError, OSError):
        raise
    except Exception:  # what Zarr raises for damaged metadata has no bounds
        return []


def take(plan: Plan, tick: Callable[[int], object] = lambda size: None) -> Plan:
    """Bring what a plan takes from upstream; what is damaged there is to be computed in the plan that comes back.

    tick: called with the bytes of each sample that arrived.
    """
    todo = {task.sample.id: dict(task.wanted) for task in plan.tasks}
    cached = dict(plan.cached)
    for name, taken in plan.upstream.items():
        feature = plan.store.feature(f"{plan.snapshot}/{plan.nodes[name].folder}")
        done = [pair for pair in taken.values() if pair[1].state == "done"]
        damaged = transfer.carry(feature, done, tick=tick).damaged
        feature.ledger.append(record for _, record in taken.values() if record.state == "failed")
        cached[name] -= len(damaged)
        for sample in damaged:
            todo.setdefault(sample, {})[name] = taken[sample][1].turn
    return replace(plan, tasks=plan.tasks_of(todo), cached=cached, upstream={})
