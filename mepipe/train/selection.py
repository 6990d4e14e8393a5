"""What a dataset offers a trainer: the samples that have every feature and a class, and by name those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mepipe.errors import MepipeError
from mepipe.train.schemes import Scheme

if TYPE_CHECKING:
    from mepipe.store import Store
    from mepipe.store.feature import Feature


@dataclass(frozen=True)
class Selection:
    """Samples to train on, in the dataset's order.

    labels, subjects, splits (as the release fixes them) and clips (digests of their frames): by sample id. features: by
    node. excluded: samples without features, and why; dropped: samples that the label scheme leaves out, and what they
    are labelled.
    """

    dataset: str
    scheme: Scheme
    features: dict[str, Feature]
    labels: dict[str, int]
    subjects: dict[str, str]
    splits: dict[str, str]
    clips: dict[str, str]
    excluded: dict[str, str]
    dropped: dict[str, str]

    def record(self) -> dict[str, Any]:
        """What features.json keeps: enough to know exactly what was read."""
        first = next(iter(self.features.values()))
        return {
            "dataset": self.dataset,
            "snapshot": first.path.split("/")[0],
            "features": {node: {"path": f.path, "key": f.key} for node, f in self.features.items()},
            "samples": {i: self.scheme.classes[label] for i, label in self.labels.items()},
            "excluded": self.excluded,
            "dropped": self.dropped,
        }


def select(
    store: Store, dataset: str, nodes: Sequence[str], scheme: Scheme, made_by: str, recipe: str | None = None
) -> Selection:
    """The samples of a dataset that have all these features (of one recipe, or of any) and a class.

    MepipeError where a feature or a sample of it is not computed yet, with the command that does, by recipe `made_by`,
    and where an emotion is unknown to the scheme. Samples that failed in extraction are excluded by name.
    """
    features = _features(store, dataset, made_by, nodes, recipe)
    first = features[nodes[0]]
    failed = {i: why for f in features.values() for i, why in f.failed.items()}
    labels: dict[str, int] = {}
    dropped: dict[str, str] = {}
    for sample in first.ids:
        value = first.table.at[sample, scheme.column]
        label = scheme.label(str(value), sample)
        if label is None:
            dropped[sample] = str(value)
        elif sample not in failed:
            labels[sample] = label
    rest = first.table.loc[list(labels)].astype(str)
    subjects, splits, clips = (dict(zip(labels, rest[name], strict=True)) for name in ("subject", "split", "frames"))
    if not labels:
        msg = (
            f"Nothing of {dataset} to train on: of {len(first.ids)} samples {len(failed)} failed in extraction and "
            f"scheme {scheme.name} leaves out {len(dropped)}. See: mepipe status"
        )
        raise MepipeError(msg)
    return Selection(dataset, scheme, features, labels, subjects, splits, clips, failed, dropped)


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
