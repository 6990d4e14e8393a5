"""What is in a store: for each feature how much is done, how large and how old it is, and who names it."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mepipe.errors import MepipeError
from mepipe.store.feature import Feature
from mepipe.store.place import Folder, Place

if TYPE_CHECKING:
    from mepipe.store import Store


@dataclass(frozen=True)
class Standing:
    """What became of samples. failed: sample -> reason. bytes: of the values of those done, by their mean length."""

    samples: int
    done: int
    missing: int
    failed: dict[str, str]
    bytes: int


@dataclass(frozen=True)
class Row:
    """A feature in a listing.

    refs: recipes whose refs name it: it is current. modified: when something was last written, by the store's clock,
    seconds since 1970. problem: where it is damaged, how; nothing is known of it then.
    """

    path: str
    refs: list[str]
    modified: float = 0.0
    shows_face: bool = True
    foreign: bool = False
    samples: int = 0
    done: int = 0
    failed: int = 0
    missing: int = 0
    bytes: int = 0
    problem: str = ""

    @property
    def complete(self) -> bool:
        """Whether every sample was computed."""
        return not self.problem and self.done == self.samples


def standing(feature: Feature) -> Standing:
    """How a feature's samples stand, by its ledger alone: to look up a million names would take as long again."""
    counts, failed = feature.ledger.counts()
    samples, lengths = feature.shape[0], feature._lengths
    mean = 1.0 if lengths is None or not samples else float(lengths.mean()) / max(1, feature.shape[1])
    return Standing(
        samples=samples,
        done=counts["done"],
        missing=samples - counts["done"] - counts["failed"],
        failed=failed,
        bytes=round(counts["done"] * mean * math.prod(feature.shape[1:]) * feature.dtype.itemsize),
    )


def rows(store: Store, dataset: str | None = None) -> Iterator[Row]:
    """Every feature of a store, or of one dataset, current or not. What is damaged is listed with what is wrong."""
    named = current(store)
    for snapshot in store.snapshots(dataset):
        for feature in store.of(snapshot):
            try:
                yield _row(feature, named.get(feature.path, []))
            except Exception as error:  # what Zarr raises for damaged metadata has no bounds
                problem = str(error) if isinstance(error, MepipeError) else f"{type(error).__name__}: {error}"
                yield Row(feature.path, named.get(feature.path, []), problem=problem)


def _row(feature: Feature, refs: list[str]) -> Row:
    found = standing(feature)
    return Row(
        path=feature.path,
        refs=refs,
        modified=modified(feature),
        shows_face=feature.attributes.get("shows_face") is not False,
        foreign=feature.attributes.get("foreign") is True,
        samples=found.samples,
        done=found.done,
        failed=len(found.failed),
        missing=found.missing,
        bytes=found.bytes,
    )


def current(store: Store) -> dict[str, list[str]]:
    """{path of a feature: recipes whose refs name it}; refs that cannot be read name nothing (see `verify`)."""
    named: dict[str, list[str]] = defaultdict(list)
    for dataset in store.datasets():
        try:
            refs = store.refs(dataset)
        except MepipeError:
            continue
        for recipe, ref in refs.items():
            for folder in ref.nodes.values():
                named[f"{ref.snapshot}/{folder}"].append(recipe)
    return named


def modified(feature: Feature) -> float:
    """When a feature was made or its ledger last added to, by the store's clock: seconds since 1970."""
    place = feature.place
    made = place.modified(f"{feature.path}/zarr.json")
    if isinstance(place, Folder):  # a folder's time is that of the last file put into it
        return max(made, place.modified(feature.ledger.path))
    return max([made, *(place.modified(path) for path in feature.ledger.segments())])


# Bytes on the disk ------------------------------------------------------------------------------------------------


def sizes(store: Store) -> Iterator[tuple[str, int]]:
    """Bytes on the disk: of each dataset, its snapshots, their features, and at last ("") of all.

    A file with several names counts once, where it comes first.
    """
    counted: set[tuple[int, int]] = set()
    total = on_disk(store.place, "refs", counted) + len(store.place.read("zarr.json"))
    for dataset in sorted({snapshot.partition("@")[0] for snapshot in store.snapshots()}):
        rows: dict[str, int] = {dataset: 0}
        for snapshot in store.snapshots(dataset):
            rows[snapshot] = 0
            features = {feature.path for feature in store.of(snapshot)}
            for name in store.place.children(snapshot):
                size = on_disk(store.place, f"{snapshot}/{name}", counted)
                rows[snapshot] += size
                if f"{snapshot}/{name}" in features:
                    rows[f"{snapshot}/{name}"] = size
            rows[dataset] += rows[snapshot]
        total += rows[dataset]
        yield from rows.items()
    yield "", total


def on_disk(place: Place, path: str, counted: set[tuple[int, int]]) -> int:
    """The bytes of all files below. counted: files that were counted before under another name, and are not again."""
    total = 0
    for size, links, inode in _files(place, path):
        total += size * (inode not in counted)
        if links > 1:
            counted.add(inode)
    return total


def freed(place: Place, path: str, links: dict[tuple[int, int], int]) -> int:
    """The bytes that are free once this is removed, too. links: how many names of a file are known to be removed."""
    total = 0
    for size, count, inode in _files(place, path):
        if count > 1:
            links[inode] = links.get(inode, 0) + 1
        total += size * (count == 1 or links[inode] == count)
    return total


def _files(place: Place, path: str) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Size, number of names and identity of every file at or below a path."""
    if not isinstance(place, Folder):
        yield from ((size, 1, (0, 0)) for size in place.files(path).values())
        return
    top = str(place.root / path)
    inside = (f"{folder}/{name}" for folder, _, names in os.walk(top) for name in names)
    for file in (top,) if os.path.isfile(top) else inside:  # noqa: PTH113 - text, since there may be millions
        try:
            facts = os.stat(file)  # noqa: PTH116
        except FileNotFoundError:
            continue  # it vanished while others write
        yield facts.st_size, facts.st_nlink, (facts.st_dev, facts.st_ino)
