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


def intervals(
    y_true: Sequence[int], y_pred: Sequence[int], subjects: Sequence[str], classes: int
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of ACC, UF1 and UAR, over subjects: those of a sample's subject are not independent.

    The percentile bootstrap: 2,000 times as many subjects as there are, drawn with replacement (seed 0), all of their
    samples pooled. A class that is not drawn, neither true nor predicted, is left out of that draw's means.
    """
    names, who = np.unique(np.asarray(subjects), return_inverse=True)
    matrices = np.zeros((len(names), classes, classes))
    np.add.at(matrices, (who, np.asarray(y_true), np.asarray(y_pred)), 1)
    draws = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    drawn = np.tensordot(draws, matrices, 1)
    right, true, guessed = (
        np.diagonal(drawn, axis1=1, axis2=2),
        drawn.sum(axis=2),
        drawn.sum(axis=1),
    )
    with np.errstate(invalid="ignore"):  # of a class that is not there
        values = {
            "ACC": right.sum(axis=1) / true.sum(axis=1),
            "UF1": np.nanmean(2 * right / (true + guessed), axis=1),
            "UAR": np.nanmean(right / true, axis=1),
        }
    return {name: tuple(np.percentile(v, [2.5, 97.5]).tolist()) for name, v in values.items()}
