"""Which features of a store are measured: frames, flow and landmarks that come from one alignment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mepipe.store import Store
from mepipe.store.feature import Feature

Kind = Literal["frames", "flow", "landmarks"]
_NEEDS = {
    "landmarks": "where the face is, and with it all but failed, missing, overlap and duplicate",
    "frames": "frozen, blur, illumination, and duplicate but for the same files",
    "flow": "apex, blink, turn, rigid, flat, exploding",
}


@dataclass(frozen=True, eq=False)
class Sources:
    """What is measured. every: all features of the snapshot by node. recipe: whose ref was asked first."""

    snapshot: str
    recipe: str
    every: dict[str, Feature]
    frames: Feature | None
    flow: Feature | None
    landmarks: Feature | None

    @property
    def any(self) -> Feature:
        """One of the features, whichever: for what they all have."""
        return next(iter(self.every.values()))

    @property
    def size(self) -> int:
        """Width and height of the crop."""
        return next((f.shape[-2] for f in (self.frames, self.flow) if f is not None), 224)

    @property
    def white(self) -> float:
        """The value of `frames` that is white."""
        return 1.0 if self.frames is not None and "0..1" in str(self.frames.attributes.get("units")) else 255.0

    def row(self, sample: str) -> dict[str, Any]:
        """A sample as the snapshot's table has it."""
        return {str(name): value for name, value in self.any.table.loc[sample].items()}

    def read(self, kind: Kind, sample: str) -> np.ndarray | None:
        """A sample's frames, flow or landmarks, None where they were not computed; MepipeError where damaged."""
        feature: Feature | None = getattr(self, kind)
        return feature[sample] if feature is not None and feature.states.of(sample) == "done" else None

    def position(self, kind: Kind, sample: str) -> np.ndarray:
        """The frame numbers that frames or flow stand for, float64."""
        feature: Feature = getattr(self, kind)
        return feature.position(sample)

    def failures(self, sample: str) -> dict[str, str]:
        """Why features of a sample could not be computed, by node; but for those of which none could be."""
        failed = {n: f for n, f in self.every.items() if n not in self._hopeless and f.states.of(sample) == "failed"}
        return {node: feature.states.reasons[sample] for node, feature in failed.items()}

    @cached_property
    def _hopeless(self) -> dict[str, str]:
        """Features that failed for every sample, and why: the recipe's fault, or the manifest's, not a clip's."""
        return {node: next(iter(f.failed.values())) for node, f in self.every.items() if f.failed and not f.done}

    @property
    def skipped(self) -> list[str]:
        """What the recipe does not store, and what is not measured for that; what failed altogether."""
        absent = [name for name in _NEEDS if getattr(self, name) is None]
        lines = [f"{name}: not stored by this recipe; not measured: {_NEEDS[name]}" for name in absent]
        return lines + [f"{n}: failed for every sample: {' '.join(why.split())}" for n, why in self._hopeless.items()]


def find(store: Store, dataset: str, recipe: str | None) -> Sources:
    """The features to be measured, of one recipe or of all that have the same samples."""
    refs = store.refs(dataset)
    named = recipe or next(iter(refs))
    features = store.features(dataset, recipe)
    snapshot = refs[named].snapshot
    every = {node: feature for node, feature in features.items() if feature.path.startswith(f"{snapshot}/")}
    chosen = [_chosen(every, aligned) for aligned in _alignments(every)]
    return Sources(snapshot, named, every, **max(chosen, key=_worth, default=_chosen({}, "")))


def _worth(chosen: Mapping[str, Feature | None]) -> tuple[bool, int]:
    """Without landmarks nothing else is measured."""
    return chosen["landmarks"] is not None, sum(feature is not None for feature in chosen.values())


def _alignments(features: Mapping[str, Feature]) -> list[str]:
    """The different alignments that features come from, those of the first ones first."""
    return list(dict.fromkeys(filter(None, (_aligned(feature) for feature in features.values()))))


def _chosen(features: Mapping[str, Feature], aligned: str) -> dict[str, Feature | None]:
    """The first feature of each kind that comes from an alignment."""
    found: dict[str, Feature | None] = dict.fromkeys(("frames", "flow", "landmarks"))
    for feature in features.values():
        kind = _kind(feature)
        if kind and found[kind] is None and _aligned(feature) == aligned:
            found[kind] = feature
    return found


def _kind(feature: Feature) -> str | None:
    """What a feature may serve as: pictures and flow as recorded, not magnified."""
    stages, dims = [step["stage"] for step in _steps(feature)], feature.dims[1:]
    if dims == ("frame", "y", "x", "channel") and stages[:2] == ["sample", "align"] and not _denoised(feature):
        return "frames"
    if dims == ("frame", "channel", "y", "x") and [s for s in stages if s != "strain"] == ["flow", "sample", "align"]:
        return "flow" if feature.shape[1] > 2 else None
    return "landmarks" if stages == ["landmarks", "align"] else None


def _denoised(feature: Feature) -> bool:
    return bool(_steps(feature)[0].get("params", {}).get("denoise"))


def _steps(feature: Feature) -> list[dict[str, Any]]:
    """The stages that a feature comes from, its own first; none of features that were computed elsewhere."""
    steps = []
    lineage = feature.attributes.get("lineage")
    while isinstance(lineage, dict) and "stage" in lineage:
        steps.append(lineage)
        lineage = lineage.get("upstream")
    return steps


def _aligned(feature: Feature) -> str:
    """The alignment that a feature comes from, as text; empty where there is none."""
    steps = _steps(feature)
    return json.dumps(steps[-1], sort_keys=True) if steps and steps[-1]["stage"] == "align" else ""
