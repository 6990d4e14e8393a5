"""Features that come from elsewhere, put into a store: what is there stays, what differs is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError
from mepipe.store import Store, layout
from mepipe.store.feature import Feature, digest
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record

BATCH = 32  # samples whose records are written together: what a crash makes to be taken again


@dataclass(frozen=True)
class Incoming:
    """A feature that is to be put into a store.

    rows: of its snapshot. records: what is known of each sample; of those done, with the digest that the values must
    have. read: sample id -> array; MepipeError where it cannot be had.
    """

    dataset: str
    rows: Sequence[Mapping[str, Any]]
    spec: FeatureSpec
    records: Mapping[str, Record]
    read: Callable[[str], np.ndarray]

    @property
    def path(self) -> str:
        """Where it will be in the store."""
        return f"{layout.snapshot_name(self.dataset, self.rows)}/{self.spec.folder}"


@dataclass(frozen=True)
class Arrived:
    """What became of an incoming feature: samples written, present before, failed as recorded; damaged on the way."""

    path: str
    written: int = 0
    present: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)
    damaged: Mapping[str, str] = field(default_factory=dict)


def check_row(row: Mapping[str, Any], where: str) -> None:
    """Whether a snapshot may have this row: a manifest's, in which frame numbers and rate may be unknown (None)."""
    low = next((row[n] for n in ("onset", "apex", "offset") if row.get(n) is not None), 0)
    high = next((row[n] for n in ("offset", "apex", "onset") if row.get(n) is not None), 0)
    stand_in = {"onset": low, "offset": high, "fps": 1.0}  # for what is unknown
    filled = {**row, **{k: v for k, v in stand_in.items() if row[k] is None}}
    try:
        filled.pop("frames")
        Sample.model_validate(filled, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        problem = f"{name + ': ' if name else ''}{first['msg'].removeprefix('Value error, ')}"
        msg = f"{where}: {problem} (got {row.get(name)!r}). Correct this row." if name else f"{where}: {problem}."
        raise MepipeError(msg) from None


def compare(store: Store, incoming: Sequence[Incoming]) -> None:
    """MepipeError where the store has one of these features with other values. Nothing is written."""
    for one in incoming:
        snapshot, _, folder = one.path.partition("/")
        feature = store.holding(snapshot, folder)
        if feature is None:
            continue
        found = (feature.key, feature.dims[1:], feature.shape[1:], str(feature.dtype))
        declared = (one.spec.attributes["key"], one.spec.dims, one.spec.shape, one.spec.dtype)
        if found != declared:
            msg = (
                f"{one.path} is in the store with {found}, and what comes has {declared}. Import into another --store."
            )
            raise MepipeError(msg)
        records = one.records
        known = {s: r for s, r in feature.records.items() if r.state == "done" and s in records}
        other = [s for s, r in known.items() if records[s].state == "done" and records[s].digest != r.digest]
        if other:
            msg = (
                f"{one.path} is in the store with other values: {len(other)} samples differ ({', '.join(other[:3])}). "
                "Of one key, values differ by the device they were computed on, or because somebody changed them: "
                "keep what is here, or import into another --store."
            )
            raise MepipeError(msg)


def take(store: Store, one: Incoming, tick: Callable[[], object] = lambda: None) -> Arrived:
    """Write what the store lacks of a feature. Stopped at any moment, it goes on where it was when called again.

    Data first, record last. Values that are not what the record says are left out, and named.
    """
    ids = [str(row["id"]) for row in one.rows]
    snapshot = layout.create_snapshot(store.place, one.dataset, one.rows)
    layout.create_feature(store.place, snapshot, ids, one.spec)
    feature = store.feature(one.path)
    known = feature.records
    arrived: dict[str, int] = {"written": 0, "present": 0}
    damaged: dict[str, str] = {}
    news: list[Record] = []
    try:
        for sample, record in one.records.items():
            before = known.get(sample)
            if before and (before.state == "done" or (before.state == record.state == "failed")):
                arrived["present"] += before.state == "done"
            else:
                problem = _write(feature, one, record) if record.state == "done" else ""
                if problem:
                    damaged[sample] = problem
                else:
                    arrived["written"] += record.state == "done"
                    news.append(replace(record, turn=before.turn + 1 if before else 1, time=time.time()))
            if len(news) >= BATCH:
                feature.ledger.append(news)
                news = []
            tick()
    finally:
        feature.ledger.append(news)
    feature.ledger.merge()
    failed = {s: r.reason for s, r in one.records.items() if r.state == "failed"}
    return Arrived(one.path, failed=failed, damaged=damaged, **arrived)


def _write(feature: Feature, one: Incoming, record: Record) -> str:
    """Put one sample's values into the store; what is wrong with them otherwise."""
    try:
        values = one.read(record.sample)
    except MepipeError as error:
        return str(error)
    if digest(values) != record.digest:
        return "its values are not those that its digest was taken of"
    feature.write(record.sample, values)
    return ""
