"""Is everything still as it was written?

The quick check looks at what everything else hangs on: refs lead somewhere, frozen folders are as they were sealed,
ledgers can be read, each chunk that a record promises is there in its full size. It costs little more than listing
files. The deep check also reads back every coordinate and every value, and compares digests.

A damaged sample is marked in the ledger, so that the next extract computes it again, and no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mepipe.errors import MepipeError, UsageError
from mepipe.store import layout, seal
from mepipe.store.feature import Feature, digest

if TYPE_CHECKING:
    from mepipe.store import Store

WHOLE = ""  # in place of a sample: the ref, snapshot or feature as such
AGAIN = "Run mepipe extract: it is made again."


@dataclass
class Findings:
    """What is wrong with a store.

    damaged: {path in the store: {sample, or WHOLE: what is wrong}}. missing: {path of a feature that a ref names:
        samples that were never computed, or of which the record is lost}. unmarked: {path of a feature: why its damage
        could not be recorded}. checked: samples looked at.
    """

    damaged: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    unmarked: dict[str, str] = field(default_factory=dict)
    checked: int = 0


def everything(
    store: Store, features: Iterable[Feature], *, deep: bool, tick: Callable[[], object] = lambda: None
) -> Findings:
    """Check a store's refs and snapshots, and these features; mark damaged samples where the store can be written."""
    findings = Findings()
    current: set[str] = set()
    for path, problem in _above(store, deep, current):
        findings.damaged[path] = {WHOLE: problem}
    for feature in features:
        frozen = _frozen(feature, deep)
        if frozen:
            findings.damaged[feature.path] = {WHOLE: frozen}
            continue
        found = damaged(feature, tick, deep=deep)
        findings.checked += len(feature.done)
        states = feature.states
        known = {s: f"{why} (known)" for s, why in states.reasons.items() if states.of(s) == "damaged"}
        ledger = "; ".join(f"{path}: {n} damaged lines" for path, n in feature.ledger.damaged().items())
        if ledger or known or found:
            findings.damaged[feature.path] = {**({WHOLE: f"{ledger}. {AGAIN}"} if ledger else {}), **known, **found}
        missing = [s for s in feature.ids if states.of(s) is None]
        if missing and feature.path in current:
            findings.missing[feature.path] = missing
        try:
            mark(feature, found)
        except (MepipeError, OSError) as error:
            findings.unmarked[feature.path] = str(error)
    return findings


def verify(feature: Feature, tick: Callable[[], object] = lambda: None) -> dict[str, str]:
    """Read a feature back, and mark what is damaged: {sample: what is wrong}."""
    found = damaged(feature, tick)
    mark(feature, found)
    return found


def damaged(feature: Feature, tick: Callable[[], object] = lambda: None, *, deep: bool = True) -> dict[str, str]:
    """{sample: what is wrong} of those that the ledger holds for done. Nothing is written."""
    found: dict[str, str] = {}
    about = feature._skeleton.data
    sizes, expected = feature.place.files(f"{feature.path}/data"), about.chunk_size if about.plain else None
    for index, sample in enumerate(feature.ids):
        if feature.states.of(sample) != "done":
            continue
        names = [path.rpartition("/")[2] for path in feature.chunks(index)]
        problem = next(filter(None, (_size_problem(n, sizes.get(n), expected) for n in names)), "")
        if not problem and deep:
            problem = _value_problem(feature, index, feature.records[sample].digest)
        if problem:
            found[sample] = problem
        tick()
    return found


def mark(feature: Feature, found: dict[str, str]) -> None:
    """Record samples as damaged, so that extract computes them again."""
    known = [feature.records[s] for s in found] if found else []
    feature.ledger.append(
        replace(r, state="damaged", reason=found[r.sample], digest="", turn=r.turn + 1) for r in known
    )


def _above(store: Store, deep: bool, current: set[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with refs, snapshots, and what holds them together. `current` gets the features that refs name."""
    datasets = store.datasets()
    begun = ["refs/zarr.json"] if store.place.children("refs") else []  # a writer may have made the folder, and no more
    for path in ("zarr.json", *begun, *(f"refs/{name}/zarr.json" for name in datasets)):
        if not _is_group(store, path):
            yield path, f"is gone or not as it was written. {AGAIN}"
    for dataset in datasets:
        try:
            for ref in store.refs(dataset).values():
                current |= {f"{ref.snapshot}/{folder}" for folder in ref.nodes.values()}
            store.features(dataset)
        except UsageError:
            continue  # the first ref is only being written, or its writer was killed before it
        except MepipeError as error:
            yield f"refs/{dataset}", str(error)
    for snapshot in store.snapshots():
        again = AGAIN if any(path.startswith(snapshot) for path in current) else "No ref leads there: delete it."
        for file, problem in seal.broken(store.place, snapshot, deep=deep).items():
            yield snapshot, f"{file} {problem}. {again}"


def _is_group(store: Store, path: str) -> bool:
    try:
        group = json.loads(store.place.read(path))
    except (FileNotFoundError, ValueError, RecursionError):
        return False
    attributes = {"mepipe_store": layout.FORMAT} if path == "zarr.json" else {}
    return bool(group == {**layout.EMPTY_GROUP, "attributes": attributes})


def _frozen(feature: Feature, deep: bool) -> str:
    """What is wrong with a feature but for its samples."""
    for file, problem in seal.broken(feature.place, feature.path, deep=deep).items():
        return f"{file} {problem}. {AGAIN}"
    try:
        names, places = len(feature.ids), feature.shape[0]
        feature.chunks(0)
    except MepipeError as error:
        return str(error)
    return "" if names == places else f"has {names} sample names and {places} places. {AGAIN}"


def _size_problem(name: str, size: int | None, expected: int | None) -> str:
    if size is None:
        return f"{name} is gone"
    if size == 0 or expected not in (None, size):
        return f"{name} is {size} bytes long" + (f", and {expected} were written" if expected is not None else "")
    return ""


def _value_problem(feature: Feature, index: int, expected: str) -> str:
    try:
        values = feature.read(index)
    except MepipeError as error:
        return str(error.__cause__ or error)
    return "" if digest(values) == expected else "its values are not those that were written"
