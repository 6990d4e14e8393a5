"""What an extraction has to do: which samples of which features are there, can be taken over, or must be computed.

Planning only reads; `prepare` then makes the snapshot and the empty features, and takes over what is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mepipe import weights
from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError
from mepipe.recipe.resolve import Resolved, needed
from mepipe.run import shapes
from mepipe.run import upstream as upstreams
from mepipe.run.fingerprint import fingerprint, frame_digests
from mepipe.store import Store, layout
from mepipe.store.feature import Feature
from mepipe.store.ledger import Record
from mepipe.store.place import Folder


@dataclass(frozen=True)
class Task:
    """One sample and the features wanted of it: {node: turn of the record that will be written}.

    frames: the digest of its frames.
    """

    index: int
    sample: Sample
    wanted: dict[str, int]
    frames: str


@dataclass(frozen=True)
class Plan:
    """An extraction, decided.

    adopt, upstream: {node: {sample: (where it is now, its record)}}: in the same store; in the one behind it.
    """

    dataset: str
    root: Path
    store: Store
    snapshot: str
    samples: list[Sample]
    frames: list[str]
    nodes: dict[str, Resolved]
    stored: list[str]
    tasks: list[Task]
    adopt: dict[str, dict[str, tuple[Feature, Record]]]
    cached: dict[str, int]
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    device: str = "cpu"
    upstream: dict[str, dict[str, tuple[Feature, Record]]] = field(default_factory=dict)

    def tasks_of(self, wanted: Mapping[str, dict[str, int]]) -> list[Task]:
        """Tasks of {sample: {node: turn}}, in the order of the samples."""
        pairs = enumerate(zip(self.samples, self.frames, strict=True))
        return [Task(i, s, wanted[s.id], frames) for i, (s, frames) in pairs if wanted.get(s.id)]

    @property
    def longest_first(self) -> list[Task]:
        """The tasks in the order for several workers, who would wait at the end for one at a long clip."""
        return sorted(self.tasks, key=lambda task: task.sample.onset - task.sample.offset)

    def bare(self) -> Plan:
        """What a worker needs of it to run tasks, however many samples there are; paths from anywhere."""
        place = self.store.place
        store = Store(Folder(place.root.absolute())) if isinstance(place, Folder) else self.store
        return replace(
            self, root=self.root.absolute(), store=store, samples=[], frames=[], tasks=[], adopt={}, cached={},
            failed={}, upstream={},
        )  # fmt: skip

    @property
    def modules(self) -> list[str]:
        """What its stages import and takes long to."""
        nodes = [self.nodes[name] for name in needed(self.nodes, self.stored)]
        return list(dict.fromkeys(module for node in nodes for module in node.stage.loads))

    @property
    def networks(self) -> bool:
        """Whether weights of a network are called for."""
        named = (name for node in self.nodes.values() for name in node.stage.weights(node.params))
        return any(weights.get(name).network for name in named)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The snapshot's rows: manifest fields and the digest of the frames."""
        return snapshot_rows(self.samples, self.frames)


def snapshot_rows(samples: Sequence[Sample], frames: Sequence[str]) -> list[dict[str, Any]]:
    """What a snapshot freezes of each sample: its manifest fields and the digest of its frames."""
    return [{**s.model_dump(), "frames": f} for s, f in zip(samples, frames, strict=True)]


def make(
    store: Store,
    dataset: str,
    samples: list[Sample],
    root: Path,
    nodes: dict[str, Resolved],
    wanted: Sequence[str],
    *,
    retry_failed: bool = False,
    device: str = "cpu",
    upstream: str = "",
    tick: Callable[[], object] = lambda: None,
) -> Plan:
    """Compare what is wanted with what the store has. Nothing is written.

    device: where stages compute that can choose (see `mepipe.run.devices`). It is not part of any key.
    upstream: the URL of a store from which to take what is missing here, if any.
    """
    frames = frame_digests(samples, root, tick)
    snapshot = layout.snapshot_name(dataset, snapshot_rows(samples, frames))
    todo: dict[str, dict[str, int]] = {s.id: {} for s in samples}
    adopt: dict[str, dict[str, tuple[Feature, Record]]] = {}
    cached: dict[str, int] = {}
    failed: dict[str, dict[str, str]] = {}
    behind: dict[str, dict[str, tuple[Feature, Record]]] = {}
    for name in wanted:
        node = nodes[name]
        here = _known(store, snapshot, node.folder)
        elsewhere = _elsewhere(store, dataset, snapshot, node)
        away: upstreams.Known | None = None if upstream else {}
        adopt[name], failed[name], cached[name] = {}, {}, 0
        for sample, digest in zip(samples, frames, strict=True):
            mark = fingerprint(sample, digest, node.reads)
            record = here.get(sample.id)
            if record is None and (sample.id, mark) in elsewhere:
                adopt[name][sample.id] = elsewhere[sample.id, mark]
                record = elsewhere[sample.id, mark][1]
            if not _counts(record, retry_failed):
                away = upstreams.known(upstream, dataset, node.folder, node.key) if away is None else away
                there = away.get((sample.id, mark))
                if there and _counts(there[1], retry_failed):
                    record = replace(there[1], turn=record.turn + 1 if record else 1)
                    behind.setdefault(name, {})[sample.id] = (there[0], record)
            if record and record.state == "done":
                cached[name] += 1
            elif record and _counts(record, retry_failed):
                failed[name][sample.id] = record.reason
            else:
                todo[sample.id][name] = here[sample.id].turn + 1 if sample.id in here else 1
    plan = Plan(
        dataset, root, store, snapshot, samples, frames, nodes, list(wanted), [], adopt, cached, failed, device, behind
    )
    return replace(plan, tasks=plan.tasks_of(todo))


def _counts(record: Record | None, retry_failed: bool) -> bool:
    """Whether a sample need not be computed."""
    if record is None or record.state == "damaged":
        return False
    return record.state == "done" or (record.final and not retry_failed)


def _known(store: Store, snapshot: str, folder: str) -> dict[str, Record]:
    """By sample; of the feature nothing else is read, which may be damaged, or not there."""
    return Feature(store.place, f"{snapshot}/{folder}").ledger.records()


def _elsewhere(
    store: Store, dataset: str, snapshot: str, node: Resolved
) -> dict[tuple[str, str], tuple[Feature, Record]]:
    """By sample and fingerprint, what other snapshots of the dataset hold of the same key."""
    found: dict[tuple[str, str], tuple[Feature, Record]] = {}
    for other in store.snapshots(dataset):
        feature = store.holding(other, node.folder) if other != snapshot else None
        if feature is None or not _usable(feature, node.key):
            continue
        for record in feature.ledger.records().values():
            if (record.state == "done" and feature.holds(record.sample)) or (record.state == "failed" and record.final):
                found.setdefault((record.sample, record.fingerprint), (feature, record))
    return found


def _usable(feature: Feature, key: str) -> bool:
    try:
        return feature.key == key and bool(feature.ids)
    except MepipeError:
        return False  # damaged, which is no reason not to compute


def prepare(plan: Plan) -> None:
    """Make the snapshot and the empty features where they are not there, and take over what is unchanged."""
    layout.create_snapshot(plan.store.place, plan.dataset, plan.rows)
    ids = [s.id for s in plan.samples]
    specs = shapes.specs(plan.nodes, plan.samples)
    for name in plan.stored:
        layout.create_feature(plan.store.place, plan.snapshot, ids, specs[name])
        feature = plan.store.feature(f"{plan.snapshot}/{plan.nodes[name].folder}")
        feature.ledger.mend()
        for sample, (other, record) in plan.adopt[name].items():
            if record.state == "done":
                feature.adopt(other, sample)
        feature.ledger.append(replace(record, turn=1) for _, record in plan.adopt[name].values())
