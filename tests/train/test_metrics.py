"""Scores against hand-computed cases, and against their definition from the confusion matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.train.metrics import score

CLASSES = ["negative", "positive", "surprise"]


def test_a_known_matrix():
    # true negative: 3 right, 1 called positive; positive: 1 right, 1 called negative; surprise: both missed
    true = [0, 0, 0, 0, 1, 1, 2, 2]
    pred = [0, 0, 0, 1, 1, 0, 0, 1]
    result = score(true, pred, CLASSES)
    assert result["confusion"] == [[3, 1, 0], [1, 1, 0], [1, 1, 0]]
    assert result["ACC"] == pytest.approx(4 / 8)
    # F1 = 2TP / (2TP + FP + FN): negative 6 / (6 + 2 + 1), positive 2 / (2 + 2 + 1), surprise 0
    assert result["UF1"] == pytest.approx((6 / 9 + 2 / 5 + 0) / 3)
    assert result["F1"] == result["UF1"]
    assert result["UAR"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert result["per_class"]["positive"] == {
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 2),
        "F1": pytest.approx(2 / 5),
        "samples": 2,
    }


def test_pooled_is_not_the_mean_of_folds():
    # two subjects, each with one class and all right: per fold the absent class would count 0, pooled all is 1
    assert score([0, 0, 1, 1], [0, 0, 1, 1], CLASSES[:2])["UF1"] == 1
    assert score([0, 0], [0, 0], CLASSES[:2])["UF1"] == 0.5


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=60))
def test_scores_follow_from_the_confusion_matrix(pairs):
    true, pred = zip(*pairs, strict=True)
    result = score(true, pred, CLASSES)
    m = np.array(result["confusion"])
    assert m.sum() == len(pairs)
    tp, fn, fp = m.diagonal(), m.sum(axis=1) - m.diagonal(), m.sum(axis=0) - m.diagonal()
    f1 = [2 * t / (2 * t + p + n) if t + p + n else 0 for t, p, n in zip(tp, fp, fn, strict=True)]
    recall = [t / (t + n) if t + n else 0 for t, n in zip(tp, fn, strict=True)]
    assert result["UF1"] == pytest.approx(np.mean(f1))
    assert result["UAR"] == pytest.approx(np.mean(recall))
    assert result["ACC"] == pytest.approx(tp.sum() / len(pairs))
