"""What gc keeps, and how writers and gc keep out of each other's way without locks.

Beside the refs of a dataset lie files of these kinds; a path is written with `~` for `/`:

    <uuid>.was             what a ref said before it was replaced: kept for the grace period, by those who read it still
    <path>.keep            a feature or snapshot that is kept because somebody said so
    <uuid>.claim           what a writer is about to use, from before it looks whether it is there until a ref names it
    <path>~<uuid>.going    what a gc is about to remove

A writer claims first and looks for `.going` then; gc writes `.going` first and looks for claims and refs then. So of
two at once, at least one sees the other: gc leaves what is claimed, a writer waits for what is going.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mepipe.errors import MepipeError
from mepipe.store import layout
from mepipe.store.place import Place

if TYPE_CHECKING:
    from mepipe.store import Store

CLAIMED = 24 * 3600  # seconds after which a claim is that of a writer who was killed
WAIT = 30.0  # seconds for gc to be done with one feature


def dataset_of(path: str) -> str:
    """The dataset that a snapshot, or a feature in one, is of."""
    return path.partition("@")[0]


def marker(path: str, kind: str) -> str:
    """The file of a kind that is about a feature or snapshot."""
    return f"refs/{dataset_of(path)}/{path.replace('/', '~')}.{kind}"


def marked(place: Place, dataset: str, kind: str) -> set[str]:
    """The features and snapshots of a dataset that have a file of a kind."""
    names = [n for n in place.children(f"refs/{dataset}") if n.endswith(f".{kind}")]
    return {name.removesuffix(f".{kind}").replace("~", "/") for name in names}


def going(path: str) -> str:
    """A new file that says that a gc, and no other, is about to remove a feature or snapshot."""
    return marker(f"{path}~{uuid.uuid4().hex}", "going")


def goings(place: Place, dataset: str) -> list[tuple[str, str]]:
    """The files that say so, and what of."""
    found = marked(place, dataset, "going")
    return [(marker(path, "going"), path.rpartition("/")[0]) for path in sorted(found)]


def write(place: Place, file: str, paths: Iterable[str]) -> None:
    """A file that names features and snapshots."""
    layout.make_plain_folder(place, file.rpartition("/")[0])
    place.write(file, json.dumps({"paths": sorted(paths), "time": time.time()}).encode())


def retire(place: Place, dataset: str, paths: Iterable[str]) -> None:
    """Remember what a ref said that is about to be replaced: training may be reading it."""
    write(place, f"refs/{dataset}/{uuid.uuid4().hex}.was", paths)


@contextmanager
def claim(place: Place, paths: Iterable[str]) -> Iterator[None]:
    """Keep features from gc while a writer decides by what is there, and until it has set its refs.

    Claim, then look what is there, then write, then set the ref, then leave. MepipeError where gc is removing one of
    them and does not come to an end.
    """
    wanted = set(paths)
    dataset = dataset_of(min(wanted))
    file = f"refs/{dataset}/{uuid.uuid4().hex}.claim"
    write(place, file, wanted)
    try:
        _wait(place, dataset, wanted | {path.partition("/")[0] for path in wanted})
        yield
    finally:
        place.remove(file)


def _wait(place: Place, dataset: str, wanted: set[str]) -> None:
    until = time.monotonic() + WAIT
    while found := {path for _, path in goings(place, dataset)} & wanted:
        if time.monotonic() > until:
            msg = (
                f"{place.url}: store gc is removing {min(found)}. Wait until it has ended; if it was killed, run "
                "mepipe store gc --yes in ten minutes, which ends what it began."
            )
            raise MepipeError(msg)
        time.sleep(0.05)


def roots(store: Store, dataset: str, now: float, grace: float) -> set[str]:
    """The features and snapshots of a dataset that gc keeps, whatever their age.

    now: by the store's clock. grace: seconds. MepipeError where a file that names some cannot be read: then nothing may
    be removed.
    """
    place, folder = store.place, f"refs/{dataset}"
    found = marked(place, dataset, "keep")
    names = place.children(folder)
    if any(n.endswith(".json") and n != "zarr.json" for n in names):
        found |= {f"{r.snapshot}/{node}" for r in store.refs(dataset).values() for node in r.nodes.values()}
    for name in names:
        limit = {"was": grace, "claim": CLAIMED}.get(name.rpartition(".")[2])
        if limit is not None:
            found |= _named(place, f"{folder}/{name}", now - limit)
    return found | {path.partition("/")[0] for path in found}


def _named(place: Place, file: str, since: float) -> set[str]:
    """What a file names; nothing where it is older, or gone."""
    try:
        if place.modified(file) < since:
            return set()
        paths = json.loads(place.read(file))["paths"]
        if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
            raise TypeError
    except FileNotFoundError:
        return set()
    except (ValueError, TypeError, KeyError):
        msg = f"{place.url}/{file}: does not name features. Delete it, once no extraction is running."
        raise MepipeError(msg) from None
    return set(paths)


def expired(place: Place, dataset: str, now: float, grace: float) -> Iterator[str]:
    """The files that keep nothing any more."""
    for name in place.children(f"refs/{dataset}"):
        limit = {"was": grace, "claim": CLAIMED}.get(name.rpartition(".")[2])
        with suppress(FileNotFoundError):  # its writer has ended
            if limit is not None and place.modified(f"refs/{dataset}/{name}") < now - limit:
                yield f"refs/{dataset}/{name}"
