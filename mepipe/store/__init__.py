"""The feature store: a Zarr v3 hierarchy with promises (docs/architecture.md). `open` is where to begin."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest
from mepipe.store import layout, roots
from mepipe.store.feature import Feature
from mepipe.store.place import Place, at

_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SNAPSHOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*@[0-9a-f]{8}")
_NODE = re.compile(r"[a-z0-9][a-z0-9._-]*")
_FEATURE = re.compile(r"[a-z0-9][a-z0-9._-]*-[0-9a-f]{8}")


@dataclass(frozen=True)
class Ref:
    """Where the features of one recipe over one dataset are: snapshot and {node: folder in it}."""

    snapshot: str
    nodes: dict[str, str]
    time: float


def _read_ref(content: bytes, path: str, dataset: str) -> Ref:
    try:
        ref = Ref(**json.loads(content))
        named = all(_FEATURE.fullmatch(f) and _NODE.fullmatch(n) and f[:-9] == n for n, f in ref.nodes.items())
        ok = named and re.fullmatch(re.escape(dataset) + r"@[0-9a-f]{8}", ref.snapshot) and math.isfinite(ref.time)
    except (ValueError, TypeError, AttributeError, RecursionError):
        ok = None
    if not ok:
        msg = f"{path}: not a ref. Delete it, and run mepipe extract --dataset {dataset} again."
        raise MepipeError(msg)
    return ref


class Store:
    """A store at a place: refs to the current snapshots, and the features of each."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.url = place.url

    def refs(self, dataset: str) -> dict[str, Ref]:
        """A dataset's refs by recipe, those that count first: whole recipes before single nodes, newest first."""
        folder = f"refs/{check_dataset_name(dataset)}"
        names = [n for n in self.place.children(folder) if n.endswith(".json") and n != "zarr.json"]
        refs = {
            name.removesuffix(".json"): _read_ref(self._content(f"{folder}/{name}"), f"{folder}/{name}", dataset)
            for name in names
        }
        if not refs:
            msg = (
                f"{self.url} holds nothing of {dataset!r}.{nearest(dataset, self.datasets())} "
                f"Make it: mepipe extract --dataset {dataset}"
            )
            raise UsageError(msg)
        return dict(sorted(refs.items(), key=lambda item: ("+" in item[0], -item[1].time, item[0])))

    def _content(self, path: str) -> bytes:
        try:
            return self.place.read(path)
        except FileNotFoundError:  # it was listed: a folder is in its place
            return b""

    def set_ref(
        self, dataset: str, recipe: str, snapshot: str, nodes: dict[str, str], made: float | None = None
    ) -> None:
        """Make these the features of a recipe over a dataset, now or as of another time. One file per recipe."""
        folder = f"refs/{check_dataset_name(dataset)}"
        layout.make_plain_folder(self.place, folder)
        before = self._said(dataset, recipe)
        if before and (before.snapshot, before.nodes) != (snapshot, nodes):
            roots.retire(self.place, dataset, [f"{before.snapshot}/{node}" for node in before.nodes.values()])
        content = {"snapshot": snapshot, "nodes": nodes, "time": time.time() if made is None else made}
        self.place.write(f"{folder}/{recipe}.json", json.dumps(content, indent=1, sort_keys=True).encode())

    def _said(self, dataset: str, recipe: str) -> Ref | None:
        path = f"refs/{dataset}/{recipe}.json"
        try:
            return _read_ref(self.place.read(path), path, dataset)
        except (FileNotFoundError, MepipeError):
            return None  # nothing, or damaged: it is written anew

    def datasets(self) -> list[str]:
        """Datasets that anything was extracted of."""
        named = [name for name in self.place.children("refs") if _DATASET.fullmatch(name)]
        return [name for name in named if set(self.place.children(f"refs/{name}")) - {"zarr.json"}]

    def features(self, dataset: str, recipe: str | None = None) -> dict[str, Feature]:
        """A dataset's features by node: of one recipe, or of all, where the ref that counts first decides."""
        refs = self.refs(dataset)
        if recipe is not None and recipe not in refs:
            msg = (
                f"{dataset} was not extracted with recipe {recipe!r}. "
                f"Run: mepipe extract --dataset {dataset} --recipe {recipe}"
            )
            raise UsageError(msg)
        found: dict[str, Feature] = {}
        for ref in [refs[recipe]] if recipe else refs.values():
            for node, folder in ref.nodes.items():
                if node not in found:
                    found[node] = self._at(ref.snapshot, folder)
        return found

    def all(self) -> list[Feature]:
        """Every feature of every snapshot, current or not."""
        return [feature for snapshot in self.snapshots() for feature in self.of(snapshot)]

    def of(self, snapshot: str) -> list[Feature]:
        """The features of one snapshot; not those that gc has begun to remove."""
        folders = [name for name in self.place.children(snapshot) if _FEATURE.fullmatch(name)]
        going = {path for _, path in roots.goings(self.place, roots.dataset_of(snapshot))} if folders else set()
        paths = [f"{snapshot}/{folder}" for folder in folders]
        return [Feature(self.place, p) for p in paths if p not in going or self.place.exists(f"{p}/zarr.json")]

    def snapshots(self, dataset: str | None = None) -> list[str]:
        """Every snapshot, current or not: of one dataset, or of all."""
        names = [name for name in self.place.children("") if _SNAPSHOT.fullmatch(name)]
        return [name for name in names if dataset is None or name.startswith(f"{dataset}@")]

    def snapshot(self, name: str) -> str:
        """The snapshot of that name, or the current one of a dataset; UsageError where there is none."""
        if "@" not in name:
            return next(iter(self.refs(name).values())).snapshot
        known = self.snapshots()
        if name not in known:
            msg = f"{self.url} has no snapshot {name!r}.{nearest(name, known)}"
            raise UsageError(msg)
        return name

    def holding(self, snapshot: str, folder: str) -> Feature | None:
        """The feature of that folder in a snapshot, or None where there is none."""
        path = f"{snapshot}/{folder}"
        return Feature(self.place, path) if self.place.exists(f"{path}/zarr.json") else None

    def _at(self, snapshot: str, folder: str) -> Feature:
        if not _FEATURE.fullmatch(folder):
            msg = f"{self.url}: {folder!r} cannot be a feature. The ref is damaged; extract again."
            raise MepipeError(msg)
        found = self.holding(snapshot, folder)
        if found is None:
            msg = f"{self.url}: {snapshot}/{folder} is gone. Run mepipe extract again."
            raise MepipeError(msg)
        return found

    def feature(self, name: str, recipe: str | None = None) -> Feature:
        """The feature `<dataset>/<node>` as last extracted, or `<snapshot>/<node>-<key>` exactly."""
        dataset, _, node = name.partition("/")
        if "@" in dataset:
            if not _SNAPSHOT.fullmatch(dataset):
                msg = f"{dataset!r} cannot be a snapshot: <dataset>@<8 hex digits> is expected."
                raise UsageError(msg)
            return self._at(dataset, node)
        found = self.features(dataset, recipe)
        if node not in found:
            msg = f"{dataset} has no feature {node!r}.{nearest(node, found)} It has: {', '.join(sorted(found))}."
            raise UsageError(msg)
        return found[node]


def open(url: str | Path) -> Store:
    """An existing store; UsageError where there is none."""
    place = at(url)
    if not place.exists("zarr.json") and not place.children("refs"):
        msg = f"No store at {place.url}. Make one with: mepipe extract --dataset NAME --store {place.url}"
        raise UsageError(msg)
    return Store(place)


def create(url: str | Path) -> Store:
    """The store at a place, made empty where there is none."""
    place = at(url)
    layout.create_root(place)
    return Store(place)


def check_dataset_name(name: str) -> str:
    """The name, if a dataset may be called so; UsageError otherwise."""
    if not _DATASET.fullmatch(name):
        msg = f"{name!r} cannot name a dataset. Use letters, digits, _ and -."
        raise UsageError(msg)
    return name
