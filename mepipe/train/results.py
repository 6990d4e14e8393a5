"""What a run gave: the predictions of all folds pooled, scored once, and drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mepipe.store import files
from mepipe.train import also, metrics
from mepipe.train.composites import database
from mepipe.train.runfolder import to_json

if TYPE_CHECKING:
    from mepipe.models.declare import Also
    from mepipe.train.selection import Selection

ORACLE = "selected on test data"
LAST, HELD = "last epoch", "epoch chosen by held-out training subjects"
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Pooled:
    """Predictions of all folds: ids, true labels, and for each epoch the labels predicted after it.

    A label is a class, or for each of several action units 1 or 0.
    """

    ids: list[str]
    true: list[Any]
    by_epoch: list[list[Any]]

    @classmethod
    def of(cls, records: Records) -> Pooled:
        """All folds. One that stopped before the others counts on with its last epoch."""
        epochs = max(len(r["predicted"]) for r in records)
        return cls(
            [i for r in records for i in r["test"]],
            [label for r in records for label in r["labels"]],
            [[p for r in records for p in r["predicted"][: epoch + 1][-1]] for epoch in range(epochs)],
        )

    def of_dataset(self, name: str) -> tuple[list[Any], list[Any]]:
        """True labels and those predicted at last, of one database of a composite."""
        rows = [n for n, sample in enumerate(self.ids) if database(sample) == name]
        return [self.true[n] for n in rows], [self.by_epoch[-1][n] for n in rows]


def finish(
    folder: Path,
    records: Records,
    selection: Selection,
    title: str,
    weights: str,
    reported: str = LAST,
    declared: Mapping[str, Also] | None = None,
) -> dict[str, Any]:
    """Pool the folds: predictions.csv, metrics.json and the pictures; returns the metrics.

    Reported is each record's last epoch: the last there was, or one that held-out subjects chose (`reported` says
    which). `oracle` is, per fold, the first of the epochs with most correct test predictions. Pooled over datasets,
    each has its own scores too (`datasets`), of the same predictions. title: what was trained, weights: what it began
    with, beside every number that is shown. declared: what the model says besides, scored as `also`.
    """
    score = partial(metrics.score_units if selection.units else metrics.score, classes=selection.classes)
    intervals = metrics.intervals_units if selection.units else metrics.intervals
    pooled = Pooled.of(records)
    scores = score(pooled.true, pooled.by_epoch[-1])
    who = [selection.subjects[i] for i in pooled.ids]
    result = {
        **scores,
        "intervals": intervals(pooled.true, pooled.by_epoch[-1], who, len(selection.classes)),
        "reported": reported,
        "weights": weights,
        "folds": len(records),
        "samples": len(pooled.true),
        "oracle": {"note": ORACLE, **score(pooled.true, [p for r in records for p in _best(r)])},
    }
    if len(selection.datasets) > 1:
        result["datasets"] = {d: score(*pooled.of_dataset(d)) for d in selection.datasets}
    if beside := also.scored(records, declared or {}, selection):
        result["also"] = beside
    files.write(folder / "predictions.csv", _predictions(records, selection).encode())
    files.write(folder / "metrics.json", to_json(result).encode())
    by_epoch = [score(pooled.true, guess)["F1"] for guess in pooled.by_epoch]
    note = f"{title}: {weights}, {len(pooled.true)} samples, {len(records)} folds"
    _draw(folder, records, selection, result, by_epoch, note)
    return result


def _draw(
    folder: Path, records: Records, selection: Selection, result: dict[str, Any], f1: list[float], note: str
) -> None:
    from mepipe.train import pictures

    if selection.units:
        pictures.units(folder / "units.png", result, note)
    else:
        pictures.confusion(folder / "confusion.png", result, selection.classes, note)
    pictures.subjects(folder / "subjects.png", _by_subject(records, selection.subjects), result["ACC"], note)
    if records[0]["losses"]:
        pictures.curves(folder / "curves.png", [r["losses"] for r in records], f1, result["reported"], note)


def _best(record: Mapping[str, Any]) -> list[Any]:
    def correct(guess: list[Any]) -> int:
        return int((np.asarray(guess) == np.asarray(record["labels"])).sum())

    best: list[Any] = max(record["predicted"], key=correct)
    return best


def _predictions(records: Records, selection: Selection) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "subject", "fold", "true", "predicted", *(f"p_{c}" for c in selection.classes)])
    for r in records:
        for sample, label, guess, p in zip(r["test"], r["labels"], r["predicted"][-1], r["probabilities"], strict=True):
            named = (selection.names(label), selection.names(guess))
            writer.writerow([sample, selection.subjects[sample], r["fold"], *named, *p])
    return out.getvalue()


def _by_subject(records: Records, subjects: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """Correct and all labels of each subject, in order."""
    counts: dict[str, tuple[int, int]] = {}
    for r in records:
        for sample, label, guess in zip(r["test"], r["labels"], r["predicted"][-1], strict=True):
            right, total = counts.get(subjects[sample], (0, 0))
            same = np.asarray(label) == np.asarray(guess)
            counts[subjects[sample]] = (right + int(same.sum()), total + same.size)
    return dict(sorted(counts.items()))
