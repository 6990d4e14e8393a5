"""What a dataset offers a trainer: the samples that have every feature and a class, and by name those that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mepipe.errors import MepipeError, UsageError
from mepipe.train import composites, schemes
from mepipe.train.schemes import Scheme, UnitSet

if TYPE_CHECKING:
    import numpy as np

    from mepipe.models.declare import Feature as Readable
    from mepipe.store import Store
    from mepipe.store.feature import Feature


@dataclass(frozen=True)
class Selection:
    """Samples to train on, in their datasets' order; pooled over several, sample and subject bear the dataset's name.

    labels (a class each, or 1 and 0 for each of several action units), subjects, splits (as the release fixes them),
    clips (digests of their frames) and aus (action units as annotated): by sample id. classes: their names, or those of
    the action units. features: by node. read: what a run folder keeps of each dataset, enough to know exactly what was
    read. excluded: samples without features, and why; dropped: samples that the label scheme leaves out, and what they
    are labelled.
    """

    datasets: tuple[str, ...]
    scheme: str
    classes: tuple[str, ...]
    features: Mapping[str, Readable]
    labels: dict[str, Any]
    subjects: dict[str, str]
    splits: dict[str, str]
    clips: dict[str, str]
    aus: dict[str, str]
    read: dict[str, Any]
    excluded: dict[str, str]
    dropped: dict[str, str]

    @property
    def units(self) -> bool:
        """Whether labels are action units."""
        return any(isinstance(label, tuple) for label in self.labels.values())

    def names(self, label: Any) -> str:
        """A label for a person: its class, or the action units that are there."""
        if isinstance(label, int):
            return self.classes[label]
        return "+".join(name for name, there in zip(self.classes, label, strict=True) if there)

    def record(self) -> dict[str, Any]:
        """What features.json keeps."""
        samples = {sample: self.names(label) for sample, label in self.labels.items()}
        return {"read": self.read, "samples": samples, "excluded": self.excluded, "dropped": self.dropped}


class _Pooled:
    """One feature over several datasets."""

    def __init__(self, features: Mapping[str, Readable]) -> None:
        self.features = features

    def __getitem__(self, sample: str) -> np.ndarray:
        dataset, _, name = sample.partition("/")
        return self.features[dataset][name]


def select(
    store: Store,
    datasets: Sequence[str],
    nodes: Sequence[str],
    classes: str,
    made_by: str,
    recipe: str | None = None,
    units: str = "",
) -> Selection:
    """The samples of one dataset, or of several pooled, that have all these features and a class.

    classes: the label scheme, by name or number. units: a set of action units by name, whose presence is then the
    label, instead. made_by: the recipe that computes the features; recipe: take only its.
    MepipeError where a feature or a sample of it is not computed yet, with the command that does, and where an emotion
    is unknown to the scheme; UsageError where the datasets' classes differ. Samples that failed in extraction are
    excluded by name.
    """

    def rules(name: str) -> Scheme | UnitSet:
        return schemes.unit_set(units, name) if units else schemes.scheme(classes, name)

    parts = {name: _of_one(store, name, nodes, rules(name), made_by, recipe) for name in datasets}
    first = next(iter(parts.values()))
    if len(parts) == 1:
        return first
    if len({part.classes for part in parts.values()}) > 1:
        found = "; ".join(f"{name}: {', '.join(part.classes)}" for name, part in parts.items())
        msg = (
            f"{units or classes} has other classes for each dataset ({found}). Name a scheme that they share, as cde-3."
        )
        raise UsageError(msg)

    def joined(field: str) -> dict[str, Any]:
        items = ((name, item) for name, part in parts.items() for item in getattr(part, field).items())
        return {composites.key(name, sample): value for name, (sample, value) in items}

    subjects = {sample: composites.key(composites.database(sample), s) for sample, s in joined("subjects").items()}
    return Selection(
        tuple(parts),
        first.scheme.split(" ")[0],
        first.classes,
        {node: _Pooled({name: part.features[node] for name, part in parts.items()}) for node in nodes},
        joined("labels"),
        subjects,
        joined("splits"),
        joined("clips"),
        joined("aus"),
        {name: part.read[name] for name, part in parts.items()},
        joined("excluded"),
        joined("dropped"),
    )


def _of_one(
    store: Store, dataset: str, nodes: Sequence[str], rules: Scheme | UnitSet, made_by: str, recipe: str | None
) -> Selection:
    features = _features(store, dataset, made_by, nodes, recipe)
    first = features[nodes[0]]
    failed = {i: why for f in features.values() for i, why in f.failed.items()}
    labels: dict[str, Any] = {}
    dropped: dict[str, str] = {}
    column = rules.column if isinstance(rules, Scheme) else "aus"
    for sample in first.ids:
        value = str(first.table.at[sample, column])
        label = rules.label(value, sample) if isinstance(rules, Scheme) else rules.targets(value, sample)
        if label is None:
            dropped[sample] = value
        elif sample not in failed:
            labels[sample] = label
    rest = first.table.loc[list(labels)].astype(str)
    columns = ("subject", "split", "frames", "aus")
    subjects, splits, clips, aus = (dict(zip(labels, rest[name], strict=True)) for name in columns)
    if not labels:
        msg = (
            f"Nothing of {dataset} to train on: of {len(first.ids)} samples {len(failed)} failed in extraction and "
            f"{rules.name} leaves out {len(dropped)}. See: mepipe status"
        )
        raise MepipeError(msg)
    read = {
        "snapshot": first.path.split("/")[0],
        "features": {node: {"path": f.path, "key": f.key} for node, f in features.items()},
    }
    return Selection(
        (dataset,),
        rules.name,
        rules.classes if isinstance(rules, Scheme) else tuple(f"AU{number}" for number in rules.units),
        features,
        labels,
        subjects,
        splits,
        clips,
        aus,
        {dataset: read},
        failed,
        dropped,
    )


def _features(store: Store, dataset: str, made_by: str, nodes: Sequence[str], recipe: str | None) -> dict[str, Feature]:
    command = f"mepipe extract --dataset {dataset} --recipe {recipe or made_by}"
    try:
        features = {node: store.feature(f"{dataset}/{node}", recipe) for node in nodes}
    except MepipeError as error:
        msg = f"This model reads {' and '.join(nodes)}. {error}"
        msg = msg if command in msg else f"{msg}\nRun: {command}"
        raise type(error)(msg) from error
    snapshots = {feature.path.split("/")[0] for feature in features.values()}
    if len(snapshots) > 1:
        states = ", ".join(sorted(snapshots))
        msg = f"{' and '.join(nodes)} are of different states of {dataset} ({states}). Run: {command}"
        raise MepipeError(msg)
    for node, feature in features.items():
        if feature.missing:
            some = ", ".join(feature.missing[:5]) + (", ..." if len(feature.missing) > 5 else "")
            msg = (
                f"{dataset}/{node} lacks {len(feature.missing)} of {len(feature.ids)} samples ({some}). Run: {command}"
            )
            raise MepipeError(msg)
    return features
