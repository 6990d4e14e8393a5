"""Protocols: who trains on whom. A fold is two lists of sample keys, so that it can be saved, read and run alone.

loso     each subject once, all others in training
cde      the same over the pooled subjects of CASME II, SMIC-HS and SAMM (MEGC 2019)
cross    each database of a pooled list once, the others in training: CASME II -> SAMM, and back
fixed    the release's own split, as DFME's: trained on `train`, one fold for each other part (test-a, test-b)
kfold-K  subjects dealt to K folds of about equally many samples
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from mepipe.errors import MepipeError, UsageError
from mepipe.train.composites import COMPOSITES, database

TRAIN = "train"  # the part of a fixed split that is trained on


@dataclass(frozen=True)
class Fold:
    """One training and the samples it is tested on; the name is a file name."""

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def seed(self, of_run: int) -> int:
        """The fold's own, from the run's seed and its name alone, so that folds run in any order."""
        digest = hashlib.sha256(f"{of_run}/{self.name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1  # torch takes 63 bits


def loso(subjects: Mapping[str, str]) -> list[Fold]:
    """Leave one subject out: a fold per subject, named by it, in the subjects' sorted order.

    subjects: sample -> subject. MepipeError with fewer than two subjects.
    """
    if len(set(subjects.values())) < 2:
        found = ", ".join(sorted(set(subjects.values()))) or "none"
        msg = f"Leave-one-subject-out needs at least two subjects; there is {found}. Add samples, or correct `subject`."
        raise MepipeError(msg)
    return _leave_one_out(subjects)


def cde(subjects: Mapping[str, str]) -> list[Fold]:
    """LOSO over the pooled subjects of MEGC 2019's composite: 68 folds where it is complete.

    subjects: of a pooled list, `composites.composite("cde", ...)`. MepipeError where one of its databases is not in it.
    """
    wanted, there = COMPOSITES["cde"][1], {database(sample) for sample in subjects}
    if set(wanted) != there:
        found = ", ".join(sorted(filter(None, there))) or "one database"
        msg = f"Protocol cde pools {', '.join(wanted)}; there is {found}. Build and extract the others, or say loso."
        raise MepipeError(msg)
    return loso(subjects)


def cross(subjects: Mapping[str, str]) -> list[Fold]:
    """Each database of a pooled list tested once by a training on all others; folds are called casme2-to-samm.

    MepipeError with fewer than two databases.
    """
    databases = {sample: database(sample) for sample in subjects}
    names = sorted(set(databases.values()))
    if len(names) < 2:
        msg = f"Protocol cross needs samples of several databases; there is {names[0] or 'one'}. Name a second one."
        raise MepipeError(msg)
    return [
        Fold(f"{'+'.join(n for n in names if n != fold.name)}-to-{fold.name}", fold.train, fold.test)
        for fold in _leave_one_out(databases)
    ]


def fixed(subjects: Mapping[str, str], splits: Mapping[str, str]) -> list[Fold]:
    """The split that the manifest's column `split` states: a fold for each part but `train`, named by it.

    splits: sample -> its part. MepipeError where a sample is in none, or a side is missing.
    """
    without = [sample for sample in subjects if not splits.get(sample)]
    if without:
        some = ", ".join(without[:5]) + (", ..." if len(without) > 5 else "")
        msg = (
            f"Protocol fixed goes by the manifest's column `split`, and {len(without)} of {len(subjects)} samples have "
            f"none ({some}). Build the manifest of a database that has a split (dfme), or say loso."
        )
        raise MepipeError(msg)
    parts = sorted({splits[sample] for sample in subjects} - {TRAIN})
    train = tuple(sample for sample in subjects if splits[sample] == TRAIN)
    if not parts or not train:
        msg = (
            f"Protocol fixed needs {TRAIN!r} and another part in column `split`; there is {', '.join(parts) or TRAIN}. "
            "Correct the manifest, or say loso."
        )
        raise MepipeError(msg)
    return [Fold(part, train, tuple(s for s in subjects if splits[s] == part)) for part in parts]


def kfold(subjects: Mapping[str, str], k: int) -> list[Fold]:
    """Subjects dealt to k folds of about equally many samples, the same on each call (scikit-learn's GroupKFold).

    MepipeError with fewer subjects than folds.
    """
    from sklearn.model_selection import GroupKFold

    ids, groups = list(subjects), list(subjects.values())
    if not 2 <= k <= len(set(groups)):
        msg = f"kfold-{k} deals {len(set(groups))} subjects to {k} folds. Say a number from 2 to that of the subjects."
        raise MepipeError(msg)
    return [
        Fold(f"{n:02d}", tuple(ids[i] for i in train), tuple(ids[i] for i in test))
        for n, (train, test) in enumerate(GroupKFold(k).split(ids, groups=groups), 1)
    ]


def _leave_one_out(groups: Mapping[str, str]) -> list[Fold]:
    from sklearn.model_selection import LeaveOneGroupOut

    ids, of = list(groups), list(groups.values())
    return [
        Fold(of[test[0]].replace("/", "_"), tuple(ids[i] for i in train), tuple(ids[i] for i in test))
        for train, test in LeaveOneGroupOut().split(ids, groups=of)
    ]


PROTOCOLS: dict[str, Callable[[Mapping[str, str]], list[Fold]]] = {"loso": loso, "cde": cde, "cross": cross}


def folds(
    protocol: str,
    subjects: Mapping[str, str],
    splits: Mapping[str, str] | None = None,
    clips: Mapping[str, Hashable] | None = None,
) -> list[Fold]:
    """The checked folds of a protocol by name; UsageError lists the protocols there are.

    subjects: sample -> subject. splits: sample -> its part of a fixed split. clips: sample -> what identifies its
    frames, for `check`.
    """
    if protocol in PROTOCOLS:
        made = PROTOCOLS[protocol](subjects)
    elif protocol == "fixed":
        made = fixed(subjects, splits or {})
    elif k := re.fullmatch(r"kfold-(\d{1,4})", protocol):
        made = kfold(subjects, int(k[1]))
    else:
        msg = f"No protocol {protocol!r}. There are: {', '.join(PROTOCOLS)}, fixed, kfold-K (as kfold-10)."
        raise UsageError(msg)
    check(made, subjects, clips)
    return made


def check(folds: Sequence[Fold], subjects: Mapping[str, str], clips: Mapping[str, Hashable] | None = None) -> None:
    """MepipeError if a subject trains and is tested in one fold, a sample is tested twice, or a side is empty.

    Also, where `clips` says what identifies each sample's frames (a digest of them, say): if one clip stands on both
    sides under two names.
    """
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
        if clips is not None:
            _check_clips(fold, clips)
        for sample in fold.test:
            if sample in tested:
                msg = f"Sample {sample} is tested in folds {tested[sample]} and {fold.name}. Correct the protocol."
                raise MepipeError(msg)
            tested[sample] = fold.name


def _check_clips(fold: Fold, clips: Mapping[str, Hashable]) -> None:
    trained = {clips[sample]: sample for sample in fold.train if clips[sample]}  # nothing is known of foreign ones
    for sample in fold.test:
        if (twin := trained.get(clips[sample])) is not None:
            msg = (
                f"Fold {fold.name}: {sample} is tested and {twin} is trained on, and they are one clip. "
                "Take one of them out of the manifest, or give both the same subject."
            )
            raise MepipeError(msg)
