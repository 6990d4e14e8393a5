"""What a store holds, as the page asks for it: datasets, their samples by column, features and their panels.

Whatever comes in an address is looked up here among what is known; nothing of it becomes a path.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mepipe.errors import MepipeError
from mepipe.store import Store, usage
from mepipe.store.feature import Feature
from mepipe.store.skeleton import read_table
from mepipe.view.look import Panel, panels

if TYPE_CHECKING:
    import pandas as pd

FRESH = 5.0  # s: for so long a dataset is not looked at again


def told(error: BaseException) -> str:
    """An error for a person. What a damaged store makes Zarr, NumPy and the system raise has no bounds."""
    return str(error) if isinstance(error, MepipeError) else f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class Shown:
    """A feature as the page has it. label: its node, with the recipe where several have it. problem: why it has
    neither samples nor panels."""

    node: str
    recipe: str
    label: str
    feature: Feature
    panels: tuple[Panel, ...] = ()
    problem: str = ""

    @property
    def folder(self) -> str:
        """Its name in addresses."""
        return self.feature.path.rpartition("/")[2]


@dataclass(frozen=True)
class Dataset:
    """One dataset at one moment (`stamp`): the samples of its current snapshot, and the features of all recipes,
    those that are looked at first before the others."""

    name: str
    stamp: Hashable = ()
    snapshot: str = ""
    table: pd.DataFrame | None = None
    features: dict[str, Shown] = field(default_factory=dict)
    problem: str = ""

    def places(self) -> dict[str, int]:
        """The row of each sample."""
        return {} if self.table is None else {str(name): row for row, name in enumerate(self.table.index)}

    def row(self, sample: str) -> dict[str, Any] | None:
        """A sample as the manifest has it; None where there is none."""
        if self.table is None or sample not in self.table.index:
            return None
        return {str(k): v.item() if hasattr(v, "item") else v for k, v in self.table.loc[sample].items()}

    def panel(self, name: str) -> tuple[Shown, Panel] | None:
        """The panel that `panel_name` gave this name."""
        folder, _, part = name.partition(":")
        shown = self.features.get(folder)
        return next(((shown, panel) for panel in shown.panels if panel.part == part), None) if shown else None


def panel_name(shown: Shown, panel: Panel) -> str:
    """A panel's name in addresses: `<node>-<key>`, and `:<part>` where the feature has several."""
    return f"{shown.folder}:{panel.part}" if panel.part else shown.folder


class Catalog:
    """The datasets of a store, looked at again when they are asked for and something was extracted since."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[str, tuple[float, Dataset]] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The datasets there are; none where the store is gone."""
        try:
            return self.store.datasets()
        except (MepipeError, OSError):
            return []

    def dataset(self, name: str, fresh: bool = True) -> Dataset | None:
        """A dataset as it is now, or was FRESH seconds ago, or at whatever time; None where there is none."""
        if not fresh and name in self._known:
            return self._known[name][1]
        with self._lock:
            checked, known = self._known.get(name, (0.0, None))
            if known is not None and time.monotonic() - checked < FRESH:
                return known
            if known is None and name not in self.names():
                return None
            stamp = _stamp(self.store, name)
            if known is None or known.stamp != stamp:
                known = replace(_read(self.store, name), stamp=stamp)
            self._known[name] = (time.monotonic(), known)
            return known


def _stamp(store: Store, name: str) -> Hashable:
    """Something that changes when a ref or a ledger does."""
    found: list[Hashable] = []
    try:
        for recipe, ref in store.refs(name).items():
            found.append((recipe, ref.snapshot, ref.time))
            for folder in ref.nodes.values():
                found.append((folder, _modified(Feature(store.place, f"{ref.snapshot}/{folder}"))))
    except Exception as error:
        found.append(told(error))
    return tuple(found)


def _modified(feature: Feature) -> float:
    try:
        return usage.modified(feature)
    except Exception:  # gone or damaged: `_open` says how
        return 0.0


def _read(store: Store, name: str) -> Dataset:
    """A dataset with what is wrong with it, where something is."""
    try:
        refs = store.refs(name)
        snapshot = next(iter(refs.values())).snapshot
        table = read_table(store.place, snapshot)
    except Exception as error:
        return Dataset(name, problem=told(error))
    found: dict[str, Shown] = {}
    for recipe, ref in refs.items():
        for node, folder in ref.nodes.items():
            if folder not in found:
                found[folder] = _open(node, recipe, Feature(store.place, f"{ref.snapshot}/{folder}"))
    return Dataset(name, (), snapshot, table, _labelled(found))


def _open(node: str, recipe: str, feature: Feature) -> Shown:
    """A feature with all that is asked of it later read once, or with the reason why it cannot be."""
    try:
        feature.states, feature.ids, feature.attributes  # noqa: B018 - they are read here or never
        return Shown(node, recipe, node, feature, tuple(panels({node: feature})))
    except Exception as error:
        gone = isinstance(error, FileNotFoundError)
        return Shown(node, recipe, node, feature, problem="Gone. Run mepipe extract again." if gone else told(error))


def _labelled(found: dict[str, Shown]) -> dict[str, Shown]:
    """Nodes that several recipes compute otherwise are told apart by recipe."""
    nodes = Counter(shown.node for shown in found.values())
    return {
        folder: replace(shown, label=f"{shown.node} ({shown.recipe})") if nodes[shown.node] > 1 else shown
        for folder, shown in sorted(found.items(), key=lambda item: _place(item[1]))
    }


def _place(shown: Shown) -> int:
    return min((place(shown, panel) for panel in shown.panels), default=9)


def place(shown: Shown, panel: Panel) -> int:
    """The order to look: frames first, as they are before magnified ones; then flow, strain, and what does not move."""
    moving = "frame" in shown.feature.dims and shown.feature.shape[1] > 1
    found = {"picture": 0, "flow": 2, "strain": 3}[panel.kind] + (0 if moving else 4)
    return found + (found == 0 and "magnify" in _stages(shown.feature))


def _stages(feature: Feature) -> str:
    """The stages that a feature went through, the last first."""
    names, lineage = [], feature.attributes.get("lineage")
    while isinstance(lineage, dict):
        names.append(str(lineage.get("stage")))
        lineage = lineage.get("upstream")
    return " ".join(names)
