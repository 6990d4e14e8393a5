"""Sample lists that protocols deal with: of one database, or pooled over several, as the composite (CDE) of MEGC 2019.

A sample's key is its id (`sub01_EP02_01f`); in a pooled list the database stands before it, as before its subject,
since ids and subjects repeat between databases: `casme2/sub01_EP02_01f` of `casme2/sub01`.

The official list of the composite, combined_3class_gt.csv, and what circulates of it, writes the same samples in other
ways; `from_official` reads them all:

    mepipe                           combined_3class_gt.csv         elsewhere
    casme2/sub01_EP02_01f            casme2,sub01,EP02_01f
    smic/s1_ne_01                    smic,s01,s01_ne_01             clip s1_ne_01
    samm/006_1_2                     samm,6,006_1_2                 subject 006

Labels are 0 negative, 1 positive, 2 surprise in all.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mepipe.errors import MepipeError, UsageError
from mepipe.train.schemes import Scheme, scheme

if TYPE_CHECKING:
    from mepipe.datasets.manifest import Sample

# name -> label scheme and databases, in the order of the official list
COMPOSITES = {"cde": ("cde-3", ("casme2", "smic", "samm"))}
_SMIC_CLIP = re.compile(r"s0*(\d+)_(ne|po|sur)_0*(\d+)")


@dataclass(frozen=True)
class SampleList:
    """Samples with a class, by key and in order: label, subject, and where there is a fixed split, its part.

    left_out: samples without a class, and why.
    """

    labels: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def listed(samples: Iterable[Sample], rules: Scheme) -> SampleList:
    """The samples of one database under a label scheme. MepipeError names a sample whose value it does not know."""
    made = SampleList()
    for sample in samples:
        value = getattr(sample, rules.column)
        label = rules.label(value, sample.id)
        if label is None:
            made.left_out[sample.id] = rules.exclude.get(sample.id, f"{rules.column} {value}")
            continue
        made.labels[sample.id] = label
        made.subjects[sample.id] = sample.subject
        if sample.split:
            made.splits[sample.id] = sample.split
    return made


def pooled(parts: Mapping[str, SampleList]) -> SampleList:
    """The lists of several databases as one; samples and subjects carry the database's name."""
    whole = SampleList()
    for dataset, part in parts.items():
        whole.labels.update({key(dataset, i): label for i, label in part.labels.items()})
        whole.subjects.update({key(dataset, i): key(dataset, subject) for i, subject in part.subjects.items()})
        whole.splits.update({key(dataset, i): split for i, split in part.splits.items()})
        whole.left_out.update({key(dataset, i): why for i, why in part.left_out.items()})
    return whole


def composite(name: str, manifests: Mapping[str, Iterable[Sample]]) -> SampleList:
    """The sample list of a composite ("cde") from its databases' manifests; UsageError where one of these is missing.

    From the official releases CDE has 442 samples of 68 subjects: 145, 164 and 133 of CASME II, SMIC-HS and SAMM.
    """
    rules, datasets = COMPOSITES[name]
    missing = [dataset for dataset in datasets if dataset not in manifests]
    if missing:
        msg = f"{name} pools {', '.join(datasets)}; {', '.join(missing)} is missing. Build its manifest, too."
        raise UsageError(msg)
    return pooled({dataset: listed(manifests[dataset], scheme(rules, dataset)) for dataset in datasets})


def key(dataset: str, name: str) -> str:
    """A sample or subject of a pooled list."""
    return f"{dataset}/{name}"


def database(key: str) -> str:
    """The database of a pooled list's sample or subject; '' in the list of one database."""
    return key.rpartition("/")[0]


def from_official(dataset: str, subject: str, clip: str) -> str:
    """mepipe's key of a sample of the official list, in any of the forms above; MepipeError for another."""
    dataset, subject, clip = dataset.strip().lower(), subject.strip(), clip.strip()
    digits = re.fullmatch(r"(?:sub|s)?0*(\d+)", subject)
    number = int(digits[1]) if digits else -1
    if digits and dataset == "casme2" and re.fullmatch(r"EP[\w]+", clip):
        return key(dataset, f"sub{number:02d}_{clip}")
    parts = _SMIC_CLIP.fullmatch(clip)
    if dataset == "smic" and parts and int(parts[1]) == number:
        return key(dataset, f"s{number}_{parts[2]}_{int(parts[3]):02d}")
    if dataset == "samm" and re.fullmatch(r"\d{3}_\d+_\d+", clip) and int(clip[:3]) == number:
        return key(dataset, clip)
    msg = (
        f"{dataset!r}, subject {subject!r}, clip {clip!r} is no sample of MEGC 2019's list. "
        "Write them as casme2,sub01,EP02_01f or smic,s01,s01_ne_01 or samm,6,006_1_2."
    )
    raise MepipeError(msg)


def to_official(key: str) -> tuple[str, str, str]:
    """Database, subject and clip as combined_3class_gt.csv has them: the inverse of `from_official`."""
    dataset, _, sample = key.partition("/")
    if dataset == "casme2":
        subject, _, clip = sample.partition("_")
        return dataset, subject, clip
    if dataset == "smic" and (parts := _SMIC_CLIP.fullmatch(sample)):
        subject = f"s{int(parts[1]):02d}"
        return dataset, subject, f"{subject}_{parts[2]}_{int(parts[3]):02d}"
    if dataset == "samm" and re.fullmatch(r"\d{3}_\d+_\d+", sample):
        return dataset, str(int(sample[:3])), sample
    msg = f"{key!r} is no sample of CASME II, SMIC or SAMM. Give keys of the composite, as casme2/sub01_EP02_01f."
    raise MepipeError(msg)


def read_official(text: str, name: str = "combined_3class_gt.csv") -> dict[str, int]:
    """Labels by key of a list with the columns dataset, subject, clip, label, under a header or none, in their order.

    MepipeError names the line that is not of this form, or that lists a sample again.
    """
    labels: dict[str, int] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text.removeprefix("\ufeff"))), 1):
        if not row or (number == 1 and row[0].strip().lower() in ("dataset", "data")):
            continue
        try:
            sample, label = _official_row(row)
        except MepipeError as error:
            msg = f"{name}, line {number}: {error}"
            raise MepipeError(msg) from None
        if sample in labels:
            msg = f"{name}, line {number}: {sample} stands above already. Take out one of the two lines."
            raise MepipeError(msg)
        labels[sample] = label
    if not labels:
        msg = f"{name}: no samples. Lines are like casme2,sub01,EP02_01f,1"
        raise MepipeError(msg)
    return labels


def _official_row(row: list[str]) -> tuple[str, int]:
    if len(row) < 4 or row[3].strip() not in ("0", "1", "2"):
        msg = f"{','.join(row)!r} is not dataset, subject, clip, label (0, 1 or 2). Take the list as it was handed out."
        raise MepipeError(msg)
    return from_official(row[0], row[1], row[2]), int(row[3])
