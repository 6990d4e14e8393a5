"""Removing what nobody asks for any more.

Roots are refs, what refs said until lately, what is kept by name, and what writers have claimed (see `roots`); never
what one workplace happens to use. What goes first becomes invisible and then is deleted, so that a gc that is killed
leaves nothing half there; the next one ends what it began.
"""

from __future__ import annotations

import math
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest
from mepipe.store import packing, roots, usage
from mepipe.store.feature import Feature
from mepipe.store.place import Folder, Place

if TYPE_CHECKING:
    from mepipe.store import Store

GRACE = 14 * 24 * 3600.0
WRITING = 24 * 3600.0  # seconds after which what is private was left by a writer who was killed
STALE = 600.0  # seconds after which a removal that says nothing was killed
PRIVATE, TRASH = ".partial", ".gone"
BATCH = 1000  # files


@dataclass(frozen=True)
class Doomed:
    """Something that gc removes.

    kind: feature, snapshot, chunks (of a feature that stays: left by packing or unpacking), or private (left by a
    writer who was killed). bytes: that this makes free, with what stands before it in the list: a file goes when the
    last of its names does.
    """

    path: str
    kind: str
    bytes: int
    modified: float


@dataclass
class Collected:
    """What gc removed, or would remove. spared: what somebody began to use in the meantime."""

    doomed: list[Doomed] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)


def clock(place: Place) -> float:
    """The time now by the clock that stamps the store's files, which need not be this machine's."""
    probe = f"refs/{uuid.uuid4().hex}.clock"
    try:
        place.write(probe, b"")
    except (MepipeError, OSError):
        return time.time()  # a store that cannot be written: nothing is removed there either
    try:
        return place.modified(probe)
    finally:
        place.remove(probe)


def keep(store: Store, name: str, *, remove: bool = False) -> str:
    """Keep a feature or a whole snapshot from gc, or no longer; returns its path. name: as `Store.feature` has it."""
    path = name if name in store.snapshots() else store.feature(name).path
    file = roots.marker(path, "keep")
    if not remove:
        roots.write(store.place, file, [path])
    elif path in roots.marked(store.place, roots.dataset_of(path), "keep"):
        store.place.remove(file)
    else:
        known = kept_by_name(store)
        msg = f"{path} is not on the keep list.{nearest(path, known)} On it: {', '.join(known) or 'nothing'}."
        raise UsageError(msg)
    return path


def kept_by_name(store: Store) -> list[str]:
    """The keep list: paths of features and snapshots."""
    return sorted(path for dataset in store.datasets() for path in roots.marked(store.place, dataset, "keep"))


def gc(store: Store, *, remove: bool, grace: float = GRACE, extra: frozenset[str] = frozenset()) -> Collected:
    """Find what no root names and nobody wrote to for `grace` seconds; remove it where told to.

    extra: features and snapshots to be kept this time, too. Where a root cannot be read: MepipeError, and nothing is
    removed. Safe beside extractions, and beside another gc.
    """
    now = clock(store.place)
    kept = {d: _roots(store, d, now, grace, extra) for d in {roots.dataset_of(s) for s in store.snapshots()}}
    if remove:
        _end_what_was_begun(store, now)
    found = Collected()
    for one in _doomed(store, kept, now - grace):
        if remove and not _take(store, one, lambda path: _roots(store, roots.dataset_of(path), now, grace, extra)):
            found.spared.append(one.path)
        else:
            found.doomed.append(one)
    gone = {one.path for one in found.doomed}
    chunks = _chunks(store, gone, now - max(grace, WRITING))
    for one in [*chunks, *_private(store.place, now - WRITING)]:
        found.doomed.append(one)
        for path in _parts(store.place, one) if remove else ():
            store.place.remove(path)
    for dataset in store.datasets() if remove else ():
        for path in roots.expired(store.place, dataset, now, grace):
            store.place.remove(path)
    return found


def _roots(store: Store, dataset: str, now: float, grace: float, extra: frozenset[str]) -> set[str]:
    found = roots.roots(store, dataset, now, grace) | extra | {path.partition("/")[0] for path in extra}
    whole = roots.marked(store.place, dataset, "keep") | extra
    return found | {f.path for path in whole if "/" not in path for f in store.of(path)}


def _doomed(store: Store, kept: dict[str, set[str]], before: float) -> Iterator[Doomed]:
    """Features that no root names, older than `before`; each before its snapshot, where that goes as well."""
    links: dict[tuple[int, int], int] = {}
    for dataset, named in sorted(kept.items()):
        for snapshot in store.snapshots(dataset):
            features = store.of(snapshot)
            ages = {f.path: _modified(store, f) for f in features if f.path not in named}
            for path, age in ages.items():
                if age < before:
                    yield Doomed(path, "feature", usage.freed(store.place, path, links), age)
            made = _modified(store, snapshot)
            if snapshot not in named and all(age < before for age in [made, *ages.values()]):
                inside = {f.path.rpartition("/")[2] for f in features}
                own = [f"{snapshot}/{n}" for n in store.place.children(snapshot) if n not in inside]
                yield Doomed(snapshot, "snapshot", sum(usage.freed(store.place, p, links) for p in own), made)


def _chunks(store: Store, gone: set[str], before: float) -> Iterator[Doomed]:
    """The files of features that stay which their documents no longer speak of."""
    for feature in store.all():
        try:
            files = packing.leftovers(feature) if feature.path not in gone else []
            times = [store.place.modified(file) for file in (*files, f"{feature.path}/data/zarr.json") if files]
        except (MepipeError, FileNotFoundError):
            continue  # damaged, see `verify`; or being removed by another
        if files and max(times) < before:  # else somebody is packing, or reads what was there before
            links: dict[tuple[int, int], int] = {}
            yield Doomed(
                feature.path, "chunks", sum(usage.freed(store.place, file, links) for file in files), max(times)
            )


def _parts(place: Place, one: Doomed) -> list[str]:
    return packing.leftovers(Feature(place, one.path)) if one.kind == "chunks" else [one.path]


def _modified(store: Store, one: Feature | str) -> float:
    """When a feature or snapshot was last written; where it is damaged, any file of it."""
    path = one if isinstance(one, str) else one.path
    try:
        return store.place.modified(f"{path}/zarr.json") if isinstance(one, str) else usage.modified(one)
    except FileNotFoundError:
        return max((store.place.modified(f"{path}/{name}") for name in store.place.files(path)), default=0.0)


def _take(store: Store, one: Doomed, named: Callable[[str], set[str]]) -> bool:
    """Remove a feature or snapshot, unless somebody uses it since it was found."""
    place = store.place
    file = roots.going(one.path)
    place.write(file, b"")
    try:
        free = one.path not in named(one.path) and (one.kind == "feature" or not store.of(one.path))
        if free:
            _vanish(place, one.path, file)
    except OSError:
        if place.exists(f"{one.path}/zarr.json"):
            place.remove(file)  # nothing has happened to it
        raise
    place.remove(file)
    return free


def _vanish(place: Place, path: str, file: str) -> None:
    """Make it invisible at once, then delete it. file: to be written again and again, as a sign of life."""
    if isinstance(place, Folder):
        found = place.root / path
        trash = found.with_name(f".{found.name}.{uuid.uuid4().hex}{TRASH}")
        try:
            found.rename(trash)
        except FileNotFoundError:
            return  # another gc was first
        shutil.rmtree(trash, ignore_errors=True)
        return
    # Without its document it is no feature; without its ledger nothing that may be left of the data counts.
    names = sorted(place.files(path), key=lambda name: (name != "zarr.json", not name.startswith("ledger/")))
    place.remove(f"{path}/zarr.json")
    with ThreadPoolExecutor(16) as pool:
        for start in range(0, len(names), BATCH):
            place.write(file, b"")
            list(pool.map(place.remove, (f"{path}/{name}" for name in names[start : start + BATCH])))


def _end_what_was_begun(store: Store, now: float) -> None:
    """Finish the removals of a gc that was killed."""
    place = store.place
    for dataset in store.datasets():
        for file, path in roots.goings(place, dataset):
            if place.modified(file) < now - STALE:
                if not place.exists(f"{path}/zarr.json"):
                    place.write(file, b"")
                    _vanish(place, path, file)
                place.remove(file)
    if not isinstance(place, Folder):
        return
    for folder in (".", *store.snapshots()):
        with suppress(FileNotFoundError):  # another gc has removed it
            for found in (place.root / folder).iterdir():
                if found.name.endswith(TRASH):
                    shutil.rmtree(found, ignore_errors=True)


def _private(place: Place, before: float) -> Iterator[Doomed]:
    """What writers began and nobody will end."""
    if not isinstance(place, Folder):
        for name, size in place.files("").items():
            if name.endswith(PRIVATE) and (age := place.modified(name)) < before:
                yield Doomed(name, "private", size, age)
        return
    for folder, below, names in os.walk(place.root):
        for name in [n for n in (*below, *names) if n.endswith(PRIVATE)]:
            path = Path(folder, name)
            age = _newest(path)
            if age < before:
                relative = path.relative_to(place.root).as_posix()
                yield Doomed(relative, "private", usage.freed(place, relative, {}), age)
        below[:] = [n for n in below if not n.endswith((PRIVATE, TRASH))]


def _newest(path: Path) -> float:
    """When a file, or anything in a folder, was last written; what has vanished was written just now."""
    inside = (f"{folder}/{name}" for folder, below, names in os.walk(path) for name in (*below, *names))
    try:
        return max(os.lstat(one).st_mtime for one in (str(path), *inside))
    except FileNotFoundError:
        return math.inf
