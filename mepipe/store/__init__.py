"""The feature store: a Zarr v3 hierarchy with promises (docs/architecture.md). `open` is where to begin."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest
from mepipe.store import files, layout
from mepipe.store.feature import Feature

_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Ref:
    """Where the features of one recipe over one dataset are: snapshot and {node: folder in it}."""

    snapshot: str
    nodes: dict[str, str]
    time: float


def _read_ref(path: Path, dataset: str) -> Ref:
    try:
        ref = Ref(**json.loads(path.read_text(encoding="utf-8")))
        ok = re.fullmatch(re.escape(dataset) + r"@[0-9a-f]{8}", ref.snapshot) and isinstance(ref.time, float)
    except (ValueError, TypeError):
        ok = None
    if not ok:
        msg = f"{path}: not a ref. Delete it, and run mepipe extract --dataset {dataset} again."
        raise MepipeError(msg)
    return ref


class Store:
    """A store in a folder: refs to the current snapshots, and the features of each."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def refs(self, dataset: str) -> dict[str, Ref]:
        """A dataset's refs by recipe, those that count first: whole recipes before single nodes, newest first."""
        folder = self.root / "refs" / check_dataset_name(dataset)
        refs = {p.stem: _read_ref(p, dataset) for p in folder.glob("*.json") if p.name != "zarr.json"}
        if not refs:
            msg = (
                f"{self.root} holds nothing of {dataset!r}.{nearest(dataset, self.datasets())} "
                f"Make it: mepipe extract --dataset {dataset}"
            )
            raise UsageError(msg)
        return dict(sorted(refs.items(), key=lambda item: ("+" in item[0], -item[1].time, item[0])))

    def set_ref(self, dataset: str, recipe: str, snapshot: str, nodes: dict[str, str]) -> None:
        """Make these the features of a recipe over a dataset. One file per recipe, rewritten whole, by rename."""
        folder = self.root / "refs" / dataset
        layout.make_plain_folder(folder)
        content = {"snapshot": snapshot, "nodes": nodes, "time": time.time()}
        files.write(folder / f"{recipe}.json", json.dumps(content, indent=1, sort_keys=True).encode())

    def datasets(self) -> list[str]:
        """Datasets that anything was extracted of."""
        return sorted(p.name for p in (self.root / "refs").glob("*") if p.is_dir())

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
        folders = sorted(p.parent for p in self.root.glob("*@*/*/zarr.json") if (p.parent / "ledger").is_dir())
        return [Feature(self.root, f.relative_to(self.root).as_posix()) for f in folders if f.name[0] != "."]

    def _at(self, snapshot: str, folder: str) -> Feature:
        if not re.fullmatch(r"[a-z0-9._-]+-[0-9a-f]{8}", folder):
            msg = f"{self.root}: {folder!r} cannot be a feature. The ref is damaged; extract again."
            raise MepipeError(msg)
        if not (self.root / snapshot / folder / "zarr.json").exists():
            msg = f"{self.root}: {snapshot}/{folder} is gone. Run mepipe extract again."
            raise MepipeError(msg)
        return Feature(self.root, f"{snapshot}/{folder}")

    def feature(self, name: str, recipe: str | None = None) -> Feature:
        """The feature `<dataset>/<node>` as last extracted, or `<snapshot>/<node>-<key>` exactly."""
        dataset, _, node = name.partition("/")
        if "@" in dataset:
            if not re.fullmatch(r"[A-Za-z0-9_-]+@[0-9a-f]{8}", dataset):
                msg = f"{dataset!r} cannot be a snapshot: <dataset>@<8 hex digits> is expected."
                raise UsageError(msg)
            return self._at(dataset, node)
        found = self.features(dataset, recipe)
        if node not in found:
            msg = f"{dataset} has no feature {node!r}.{nearest(node, found)} It has: {', '.join(sorted(found))}."
            raise UsageError(msg)
        return found[node]


def folder(url: str | Path) -> Path:
    """The folder that a store's URL names; UsageError for what is no folder."""
    scheme = urlparse(str(url)).scheme if "://" in str(url) else ""
    if scheme not in ("", "file"):
        msg = f"{url}: only folders can be stores for now. Mount or copy it, and name the folder."
        raise UsageError(msg)
    return Path(urlparse(str(url)).path) if scheme == "file" else Path(url)


def open(url: str | Path) -> Store:
    """An existing store; UsageError where there is none."""
    root = folder(url)
    if not (root / "zarr.json").exists():
        msg = f"No store at {root}. Make one with: mepipe extract --dataset NAME --store {root}"
        raise UsageError(msg)
    return Store(root)


def create(url: str | Path) -> Store:
    """The store at a place, made empty where there is none."""
    root = folder(url)
    layout.create_root(root)
    return Store(root)


def check_dataset_name(name: str) -> str:
    """The name, if a dataset may be called so; UsageError otherwise."""
    if not _DATASET.fullmatch(name):
        msg = f"{name!r} cannot name a dataset. Use letters, digits, _ and -."
        raise UsageError(msg)
    return name
