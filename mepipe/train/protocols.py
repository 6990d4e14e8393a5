"""Protocols: who trains on whom. A fold is two lists of sample ids, so that it can be saved, read and run alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mepipe.errors import MepipeError, UsageError


@dataclass(frozen=True)
class Fold:
    """One training and the samples it is tested on; the name is a file name."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]


def loso(subjects: Mapping[str, str]) -> list[Fold]:
    """Leave one subject out: a fold per subject, named by it, in the subjects' sorted order.

    subjects: sample id -> subject. MepipeError with fewer than two subjects.
    """
    from sklearn.model_selection import LeaveOneGroupOut

    ids, groups = list(subjects), list(subjects.values())
    if len(set(groups)) < 2:
        found = ", ".join(sorted(set(groups))) or "none"
        msg = f"Leave-one-subject-out needs at least two subjects; there is {found}. Add samples, or correct `subject`."
        raise MepipeError(msg)
    return [
        Fold(groups[test[0]], tuple(ids[i] for i in train), tuple(ids[i] for i in test))
        for train, test in LeaveOneGroupOut().split(ids, groups=groups)
    ]


PROTOCOLS = {"loso": loso}


def folds(protocol: str, subjects: Mapping[str, str]) -> list[Fold]:
    """The checked folds of a protocol by name; UsageError lists the protocols there are."""
    if protocol not in PROTOCOLS:
        msg = f"No protocol {protocol!r}. There are: {', '.join(PROTOCOLS)}."
        raise UsageError(msg)
    made = PROTOCOLS[protocol](subjects)
    check(made, subjects)
    return made


def check(folds: Sequence[Fold], subjects: Mapping[str, str]) -> None:
    """MepipeError if a subject trains and is tested in one fold, a sample is tested twice, or a side is empty."""
    tested: dict[str, str] = {}
    for fold in folds:
        if not fold.train or not fold.test:
            msg = f"Fold {fold.name}: nothing to {'train on' if not fold.train else 'test'}. Correct the protocol."
            raise MepipeError(msg)
        shared = {subjects[i] for i in fold.train} & {subjects[i] for i in fold.test}
        if shared:
            msg = (
                f"Fold {fold.name}: subject {', '.join(sorted(shared))} stands on both sides, so its test measures "
                f"memory of a face. Correct the protocol, or the manifest's column `subject`."
            )
            raise MepipeError(msg)
        for sample in fold.test:
            if sample in tested:
                msg = f"Sample {sample} is tested in folds {tested[sample]} and {fold.name}. Correct the protocol."
                raise MepipeError(msg)
            tested[sample] = fold.name
