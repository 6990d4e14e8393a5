"""What an extraction has to do: which samples of which features are there, can be taken over, or must be computed.

Planning only reads; `prepare` then makes the snapshot and the empty features, and takes over what is unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mepipe import __version__
from mepipe.datasets.manifest import Sample
from mepipe.errors import SampleError
from mepipe.recipe.resolve import Resolved
from mepipe.run.fingerprint import fingerprint, frame_digests
from mepipe.stages.declare import Annotation
from mepipe.store import Store, layout
from mepipe.store.feature import Feature
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record


@dataclass(frozen=True)
class Task:
    """One sample and the features wanted of it: {node: turn of the record that will be written}."""

    index: int
    sample: Sample
    wanted: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """An extraction, decided. `adopt`: {node: {sample: (where it is now, its record)}}."""

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
    tick: Callable[[], object] = lambda: None,
) -> Plan:
    """Compare what is wanted with what the store has. Nothing is written."""
    frames = frame_digests(samples, root, tick)
    snapshot = layout.snapshot_name(dataset, snapshot_rows(samples, frames))
    todo: dict[str, dict[str, int]] = {s.id: {} for s in samples}
    adopt: dict[str, dict[str, tuple[Feature, Record]]] = {}
    cached: dict[str, int] = {}
    failed: dict[str, dict[str, str]] = {}
    for name in wanted:
        node = nodes[name]
        here = _known(store, snapshot, node.folder)
        elsewhere = _elsewhere(store, dataset, snapshot, node)
        adopt[name], failed[name], cached[name] = {}, {}, 0
        for sample, digest in zip(samples, frames, strict=True):
            mark = fingerprint(sample, digest, node.reads)
            record = here.get(sample.id)
            if record is None and (sample.id, mark) in elsewhere:
                adopt[name][sample.id] = elsewhere[sample.id, mark]
                record = elsewhere[sample.id, mark][1]
            if record and record.state == "done":
                cached[name] += 1
            elif record and record.state == "failed" and record.final and not retry_failed:
                failed[name][sample.id] = record.reason
            else:
                todo[sample.id][name] = here[sample.id].turn + 1 if sample.id in here else 1
    tasks = [Task(i, s, todo[s.id]) for i, s in enumerate(samples) if todo[s.id]]
    return Plan(dataset, root, store, snapshot, samples, frames, nodes, list(wanted), tasks, adopt, cached, failed)


def _known(store: Store, snapshot: str, folder: str) -> dict[str, Record]:
    feature = Feature(store.root, f"{snapshot}/{folder}")
    return feature.ledger.records() if feature.folder.is_dir() else {}


def _elsewhere(
    store: Store, dataset: str, snapshot: str, node: Resolved
) -> dict[tuple[str, str], tuple[Feature, Record]]:
    """By sample and fingerprint, what other snapshots of the dataset hold of the same key."""
    found: dict[tuple[str, str], tuple[Feature, Record]] = {}
    for folder in sorted(store.root.glob(f"{dataset}@*/{node.folder}")):
        if folder.parent.name == snapshot:
            continue
        feature = Feature(store.root, f"{folder.parent.name}/{node.folder}")
        if feature.key != node.key:
            continue
        for record in feature.ledger.records().values():
            if record.state == "done" or (record.state == "failed" and record.final):
                found.setdefault((record.sample, record.fingerprint), (feature, record))
    return found


def prepare(plan: Plan) -> None:
    """Make the snapshot and the empty features where they are not there, and take over what is unchanged."""
    layout.create_snapshot(plan.store.root, plan.dataset, plan.rows)
    ids = [s.id for s in plan.samples]
    specs = _specs(plan.nodes, plan.samples)
    for name in plan.stored:
        layout.create_feature(plan.store.root, plan.snapshot, ids, specs[name])
        feature = plan.store.feature(f"{plan.snapshot}/{plan.nodes[name].folder}")
        for sample, (other, record) in plan.adopt[name].items():
            if record.state == "done":
                feature.adopt(other, sample)
        feature.ledger.append(replace(record, turn=1) for _, record in plan.adopt[name].values())


def _positions(node: Resolved, annotation: Annotation, upstream: np.ndarray) -> np.ndarray | None:
    if node.stage.timeline is None:
        return None
    try:
        return node.stage.timeline(node.params, annotation, upstream)
    except SampleError:
        return np.empty(0)  # the sample's task will fail with this reason


def _specs(nodes: Mapping[str, Resolved], samples: Sequence[Sample]) -> dict[str, FeatureSpec]:
    """The skeleton of each stored node. Walks the DAG without data: frame numbers and shapes only."""
    annotations = [Annotation(s.onset, s.apex, s.offset, s.fps) for s in samples]
    probes = [Annotation(0, 400, 999, 200.0), Annotation(0, 400, 1000, 200.0)]
    start = [np.arange(a.onset, a.offset + 1, dtype=np.float64) for a in [*annotations, *probes]]
    times: dict[str, list[np.ndarray]] = {"source": start}
    shapes: dict[str, tuple[int, ...]] = {"source": (0, 0, 0)}
    units: dict[str, str] = {"source": ""}
    specs: dict[str, FeatureSpec] = {}
    for name, node in nodes.items():
        units[name] = node.output.units or units[node.input]
        positions = [_positions(node, a, p) for a, p in zip([*annotations, *probes], times[node.input], strict=True)]
        framed = [p for p in positions if p is not None]
        times[name] = framed if framed else times[node.input]
        shapes[name] = node.stage.shape(node.params, shapes[node.input])
        if node.dtype is None:
            continue
        output = node.output
        longest = max((len(p) for p in framed[:-2]), default=0)
        specs[name] = FeatureSpec(
            folder=node.folder,
            dims=output.dims,
            shape=(max(1, longest), *shapes[name]) if framed else shapes[name],
            dtype=node.dtype,
            channels=output.channels,
            positions=framed[:-2] if framed else None,
            varying=bool(framed) and len(framed[-2]) != len(framed[-1]),
            attributes={
                "node": name,
                "key": node.key,
                "stage": node.stage.name,
                "version": node.stage.version,
                "params": node.params.model_dump(mode="json"),
                "lineage": node.lineage,
                "reads": list(node.reads),
                "units": units[name],
                "shows_face": output.shows_face,
                "made_by": f"mepipe {__version__}",
            },
        )
    return specs
