"""Scores, computed once over the pooled predictions of all folds, as MEGC 2019 defines them.

A mean of per-fold F1 is not the F1 of a LOSO: a subject that lacks a class has none for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000


def score(y_true: Sequence[int], y_pred: Sequence[int], classes: Sequence[str]) -> dict[str, Any]:
    """ACC, F1, UF1, UAR, per-class scores and the confusion matrix, of labels 0 .. len(classes) - 1.

    F1 is the macro F1 of the micro-expression papers, which is what MEGC calls UF1: the mean over all classes of
    2TP / (2TP + FP + FN); both names are given since tables use both. UAR is the mean recall. A class that has no
    samples and no predictions counts 0. The confusion matrix has a row per true and a column per predicted class.

    >>> score([0, 0, 1, 1], [0, 1, 1, 1], ["negative", "positive"])["UAR"]
    0.75
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    labels = list(range(len(classes)))
    precision, recall, f1, support = precision_recall_fscore_support(y_true, y_pred, labels=labels, zero_division=0)
    return {
        "ACC": float(accuracy_score(y_true, y_pred)),
        "F1": float(f1.mean()),
        "UF1": float(f1.mean()),
        "UAR": float(recall.mean()),
        "per_class": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "F1": float(f1[i]),
                "samples": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion": confusion_matrix(y_true, y_pred, labels=labels).tolist(),
    }


def score_units(
    y_true: Sequence[Sequence[int]], y_pred: Sequence[Sequence[int]], classes: Sequence[str]
) -> dict[str, Any]:
    """Of action units, each present (1) or not: F1 of each over all samples, their mean (F1), and the mean accuracy.

    An F1 is that of presence, 2TP / (2TP + FP + FN); 0 where a unit is neither there nor said to be. ACC is the mean
    over units of the share of samples that are right (Micro-AU CLIP, tables II and III).

    >>> score_units([[1, 0], [1, 1]], [[1, 0], [0, 1]], ["AU1", "AU4"])["per_class"]["AU1"]["F1"]
    0.6666666666666666
    """
    true, pred = np.asarray(y_true, bool), np.asarray(y_pred, bool)
    hits, wrong = (true & pred).sum(axis=0), (true != pred).sum(axis=0)
    f1 = np.divide(2 * hits, 2 * hits + wrong, out=np.zeros(len(classes)), where=hits + wrong > 0)
    accuracy = (true == pred).mean(axis=0)
    return {
        "ACC": float(accuracy.mean()),
        "F1": float(f1.mean()),
        "per_class": {
            name: {"F1": float(f1[i]), "ACC": float(accuracy[i]), "samples": int(true[:, i].sum())}
            for i, name in enumerate(classes)
        },
    }


def intervals(
    y_true: Sequence[int], y_pred: Sequence[int], subjects: Sequence[str], classes: int
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of ACC, UF1 and UAR, over subjects: those of a sample's subject are not independent.

    The percentile bootstrap: 2,000 times as many subjects as there are, drawn with replacement (seed 0), all of their
    samples pooled. A class that is not drawn, neither true nor predicted, is left out of that draw's means.
    """
    return {name: span(values) for name, values in drawn(y_true, y_pred, subjects, classes).items()}


def intervals_units(
    y_true: Sequence[Sequence[int]], y_pred: Sequence[Sequence[int]], subjects: Sequence[str], units: int
) -> dict[str, tuple[float, float]]:
    """The same of action units: of ACC and the mean F1; a unit that is not in a draw is left out of its mean."""
    return {name: span(values) for name, values in drawn_units(y_true, y_pred, subjects).items()}


def drawn(
    y_true: Sequence[int] | np.ndarray, y_pred: Sequence[int] | np.ndarray, subjects: Sequence[str], classes: int
) -> dict[str, np.ndarray]:
    """ACC, UF1 and UAR of each draw of subjects, float64 [2000]: the same draws for any predictions of theirs."""
    matrices = np.zeros((len(y_true), classes, classes))
    matrices[np.arange(len(y_true)), y_true, y_pred] = 1
    sums = _drawn(matrices, subjects)
    right, true, guessed = np.diagonal(sums, axis1=1, axis2=2), sums.sum(axis=2), sums.sum(axis=1)
    with np.errstate(invalid="ignore"):  # of a class that is not there
        return {
            "ACC": right.sum(axis=1) / true.sum(axis=1),
            "UF1": _mean(2 * right / (true + guessed)),
            "UAR": _mean(right / true),
        }


def drawn_units(
    y_true: Sequence[Sequence[int]] | np.ndarray, y_pred: Sequence[Sequence[int]] | np.ndarray, subjects: Sequence[str]
) -> dict[str, np.ndarray]:
    """The same of action units: ACC and F1."""
    true, pred = np.asarray(y_true, bool), np.asarray(y_pred, bool)
    sums = _drawn(np.stack([true & pred, true != pred, np.ones_like(true)], axis=1).astype(float), subjects)
    hits, wrong, all_ = sums[:, 0], sums[:, 1], sums[:, 2]
    with np.errstate(invalid="ignore"):
        return {"ACC": 1 - (wrong / all_).mean(axis=1), "F1": _mean(2 * hits / (2 * hits + wrong))}


def span(values: np.ndarray) -> tuple[float, float]:
    """What holds 95 % of the draws; those in which there was nothing to score are left out."""
    low, high = np.nanpercentile(values, [2.5, 97.5]).tolist()
    return low, high


def _mean(shares: np.ndarray) -> np.ndarray:
    """Of each draw, over the classes that are there; no number where none is."""
    return np.asarray(np.nansum(shares, axis=1) / np.isfinite(shares).sum(axis=1))


def _drawn(counts: np.ndarray, subjects: Sequence[str]) -> np.ndarray:
    """Counts [sample, ...] summed over each draw of subjects: [draw, ...]."""
    names, who = np.unique(np.asarray(subjects), return_inverse=True)
    of_subject = np.zeros((len(names), *counts.shape[1:]))
    np.add.at(of_subject, who, counts)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    return np.tensordot(draws, of_subject, 1)
