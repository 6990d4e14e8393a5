"""Push and pull: bring features from one store to another, only what that lacks, and make them found there.

Snapshots and features are built anew from what the source says, checked, so that nothing but values and plain
metadata comes across; a damaged or hostile store can name samples as damaged, and no more. Refs come last.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mepipe.errors import MepipeError
from mepipe.store import Ref, Store, layout, plain, transfer
from mepipe.store.feature import Feature
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record
from mepipe.store.place import PlaceError
from mepipe.store.skeleton import read_table

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_HEX = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Move:
    """A feature, and what the other side lacks of it.

    new: records of samples to bring. failed: of those known to fail. present: samples that are there already. size:
    bytes of the values to bring.
    """

    source: Feature
    new: list[Record]
    failed: list[Record]
    present: int
    size: int


@dataclass(frozen=True)
class Moved:
    """What became of a move: samples and bytes that arrived, {sample: what is wrong with it at the source}."""

    path: str
    samples: int = 0
    present: int = 0
    bytes: int = 0
    damaged: Mapping[str, str] = field(default_factory=dict)


def choose(store: Store, names: Sequence[str] = (), dataset: str | None = None) -> list[Feature]:
    """The features that are asked for, or all that refs name: of a dataset, or of every one."""
    found = [store.feature(name) for name in names]
    if dataset or not names:
        for one in [dataset] if dataset else store.datasets():
            for ref in store.refs(one).values():
                found += [store.feature(f"{ref.snapshot}/{folder}") for folder in ref.nodes.values()]
    return list({feature.path: feature for feature in found}.values())


def plan(target: Store, features: Iterable[Feature]) -> list[Move]:
    """What the target lacks of features of another store. Reads metadata and ledgers, nothing else."""
    return [_move(target, feature) for feature in features]


def _move(target: Store, source: Feature) -> Move:
    snapshot, _, folder = source.path.partition("/")
    there = target.holding(snapshot, folder)
    known = there.ledger.records() if there is not None else {}
    new: list[Record] = []
    failed: list[Record] = []
    present = 0
    for sample, record in source.records.items():
        before = known.get(sample)
        turn = before.turn + 1 if before else 1
        if before and before.state == "done":
            present += record.state == "done"
        elif record.state == "done":
            new.append(checked(source, replace(record, turn=turn)))
        elif record.state == "failed" and record.final and (before is None or before.state != "failed"):
            failed.append(checked(source, replace(record, turn=turn)))
    size = sum(math.prod(source.sample_shape(r.sample)) for r in new) * source.dtype.itemsize if new else 0
    return Move(source, new, failed, present, size)


def checked(source: Feature, record: Record) -> Record:
    """The record, if it is one that mepipe writes."""
    texts = all(isinstance(t, str) for t in (record.sample, record.fingerprint, record.reason, record.host))
    numbers = all(isinstance(n, int | float) and math.isfinite(n) for n in (record.seconds, record.time))
    whole = record.state != "done" or (isinstance(record.digest, str) and _HEX.fullmatch(record.digest))
    if not texts or not numbers or not whole or not isinstance(record.final, bool | int):
        msg = f"{source.place.url}/{source.path}: its ledger has no proper record of {str(record.sample)[:40]!r}."
        raise MepipeError(msg)
    return replace(record, reason="".join(c if c.isprintable() else " " for c in record.reason)[:1000])


def run(
    target: Store,
    moves: Sequence[Move],
    threads: int = transfer.THREADS,
    tick: Callable[[int], object] = lambda size: None,
) -> list[Moved]:
    """Carry moves out. Stopped at any moment, they go on where they were when planned and run again."""
    done: list[Moved] = []
    for move in moves:
        path = move.source.path
        feature = _arrive(target, move)
        carried = transfer.carry(feature, [(move.source, r) for r in move.new], threads, tick)
        feature.ledger.append(move.failed)
        feature.ledger.merge()
        done.append(Moved(path, len(carried.records), move.present, carried.bytes, carried.damaged))
    return done


def _arrive(target: Store, move: Move) -> Feature:
    """The feature in the target, made empty where it is not there."""
    source = move.source
    snapshot, _, folder = source.path.partition("/")
    there = target.holding(snapshot, folder)
    if there is None:
        rows = _rows(source)
        spec = _spec(source)
        if [str(row["id"]) for row in rows] != source.ids or spec.folder != folder:
            msg = f"{source.place.url}/{source.path}: is not about the samples of its snapshot. Nothing of it is taken."
            raise MepipeError(msg)
        layout.create_snapshot(target.place, snapshot.split("@")[0], rows)
        layout.create_feature(target.place, snapshot, source.ids, spec)
        there = target.feature(source.path)
    here, other = ((f.key, f.dims, f.shape, f.dtype, f.ids) for f in (there, source))
    if here != other:
        msg = f"{source.path}: is another array in {target.url} than in {source.place.url}. Run mepipe store verify."
        raise MepipeError(msg)
    return there


def _rows(source: Feature) -> list[dict[str, Any]]:
    """The rows of a snapshot, which are those that it is named after."""
    from mepipe.store import arrival, exchange

    snapshot = source.path.split("/")[0]
    try:
        table = read_table(source.place, snapshot)
        rows = exchange.rows({str(name): values.tolist() for name, values in table.items()})
    except (PlaceError, OSError):
        raise
    except Exception as error:  # what Zarr raises for damaged metadata has no bounds
        msg = f"{source.place.url}/{snapshot}: its sample table cannot be read ({type(error).__name__}: {error})."
        raise MepipeError(msg) from error
    for number, row in enumerate(rows):
        arrival.check_row(row, f"{source.place.url}/{snapshot}, row {number}")
    if not rows or layout.snapshot_name(snapshot.split("@")[0], rows) != snapshot:
        msg = f"{source.place.url}/{snapshot}: its sample table is not the one it is named after. Nothing is taken."
        raise MepipeError(msg)
    return rows


def _spec(source: Feature) -> FeatureSpec:
    """What a feature's skeleton was made of; MepipeError where it does not say so plainly."""
    about = {name: value for name, value in source.attributes.items() if name != "mepipe_store"}
    channels: tuple[str, ...] = ()
    if source.place.exists(f"{source.path}/channel/zarr.json"):
        channels = tuple(map(str, plain.coordinate(source.place, f"{source.path}/channel").tolist()))
    framed = "frame" in source.dims
    positions = [source.position(index) for index in range(len(source))] if framed else None
    if "units" not in about or framed != (source.dims[1:2] == ("frame",)):
        msg = f"{source.place.url}/{source.path}: does not say its units, or its frames. Nothing of it is taken."
        raise MepipeError(msg)
    return FeatureSpec(
        folder=f"{about.get('node')}-{source.key[:8]}",
        dims=source.dims[1:],
        shape=source.shape[1:],
        dtype=str(source.dtype),
        channels=channels,
        positions=positions,
        varying=framed and source._skeleton.data.chunks[1] == layout.FRAMES_PER_CHUNK,
        attributes=about,
    )


def set_refs(source: Store, target: Store, paths: Iterable[str]) -> list[str]:
    """Make features found in the target as they are in the source; returns `dataset/recipe` of each ref written.

    For each recipe the newest ref counts. The one that steps back keeps a name of its own, which comes after all
    recipes', where it leads to nodes that the newest does not have. A ref names only what is there.
    """
    chosen = set(paths)
    written: list[str] = []
    for dataset in sorted({path.split("@")[0] for path in chosen} & set(source.datasets())):
        there = target.refs(dataset) if dataset in target.datasets() else {}
        for recipe, ref in source.refs(dataset).items():
            nodes = {n: f for n, f in ref.nodes.items() if f"{ref.snapshot}/{f}" in chosen and _NAME.fullmatch(n)}
            nodes = {n: f for n, f in nodes.items() if target.holding(ref.snapshot, f) is not None}
            if nodes and _NAME.fullmatch(recipe) and recipe != "zarr":  # zarr.json is Zarr's
                mine = Ref(ref.snapshot, nodes, min(ref.time, time.time()))  # a clock that is ahead wins once
                for name, one in _settled(recipe, mine, there.get(recipe)).items():
                    if one != there.get(name):
                        target.set_ref(dataset, name, one.snapshot, one.nodes, one.time)
                        written.append(f"{dataset}/{name}")
    return written


def _settled(recipe: str, mine: Ref, theirs: Ref | None) -> dict[str, Ref]:
    """What the refs of a recipe are to be, given one that comes and the one that is there."""
    if theirs is None:
        return {recipe: mine}
    old, new = sorted((mine, theirs), key=lambda ref: ref.time)
    if mine.snapshot == theirs.snapshot:
        return {recipe: Ref(new.snapshot, {**old.nodes, **new.nodes}, new.time)}
    if old.nodes.keys() <= new.nodes.keys():
        return {recipe: new}
    identity = hashlib.sha256(json.dumps([old.snapshot, old.nodes], sort_keys=True).encode()).hexdigest()
    return {recipe: new, f"{recipe}+{identity[:8]}": old}
