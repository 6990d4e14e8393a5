"""Scores against hand-computed cases, and against their definition from the confusion matrix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.train.metrics import intervals, intervals_units, score, score_units

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


def test_intervals_are_percentiles_over_drawn_subjects():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 60).tolist()
    pred = [t if rng.random() < 0.6 else int(rng.integers(0, 3)) for t in true]
    subjects = [f"s{i % 7}" for i in range(60)]
    draws = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), 2000)
    again: dict[str, list[float]] = {"ACC": [], "UF1": [], "UAR": []}
    for counts in draws[:, :]:
        rows = [i for i in range(60) for _ in range(counts[i % 7])]
        matrix = np.zeros((3, 3))
        np.add.at(matrix, ([true[i] for i in rows], [pred[i] for i in rows]), 1)
        there = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
        said = matrix.sum(axis=1) > 0
        again["ACC"].append(np.trace(matrix) / matrix.sum())
        again["UF1"].append(np.mean((2 * np.diag(matrix))[there] / (matrix.sum(0) + matrix.sum(1))[there]))
        again["UAR"].append(np.mean(np.diag(matrix)[said] / matrix.sum(1)[said]))
    found = intervals(true, pred, subjects, 3)
    for name, values in again.items():
        assert found[name] == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
        assert found[name][0] <= score(true, pred, CLASSES)[name] <= found[name][1]


def test_subjects_not_samples_are_drawn():
    # 20 samples of two subjects, one all right and one all wrong: any share of the two may be drawn
    true, pred, subjects = [0] * 20, [0] * 10 + [1] * 10, ["a"] * 10 + ["b"] * 10
    assert intervals(true, pred, subjects, 2)["ACC"] == (0, 1)
    each = intervals(true, pred, [f"s{i}" for i in range(20)], 2)["ACC"]
    assert 0.2 < each[0] < 0.4 < 0.6 < each[1] < 0.8  # binomial: .5 -+ 2 x .11


def test_scores_of_action_units_by_hand():
    true = [[1, 0], [1, 1], [0, 1], [0, 0]]
    pred = [[1, 0], [0, 1], [0, 1], [0, 1]]
    found = score_units(true, pred, ["AU1", "AU4"])
    # AU1: one hit, one miss: 2 / (2 + 1); AU4: two hits, one false: 4 / (4 + 1); 6 of 8 right
    assert [found["per_class"][u]["F1"] for u in ("AU1", "AU4")] == pytest.approx([2 / 3, 4 / 5])
    assert found["F1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["ACC"] == pytest.approx(6 / 8)
    assert score_units([[0]], [[0]], ["AU9"])["F1"] == 0


@given(st.integers(0, 99))
def test_f1_of_units_is_scikit_learns(seed):
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(seed)
    true, pred = rng.integers(0, 2, (2, 12, 3))
    found = score_units(true, pred, ["a", "b", "c"])["F1"]
    assert found == pytest.approx(f1_score(true, pred, average="macro", zero_division=0))


def test_intervals_of_units_hold_the_score():
    rng = np.random.default_rng(5)
    true = rng.integers(0, 2, (60, 4))
    pred = np.where(rng.random((60, 4)) < 0.8, true, 1 - true)
    found = intervals_units(true, pred, [f"s{i % 6}" for i in range(60)], 4)
    whole = score_units(true, pred, list("abcd"))
    assert all(found[name][0] < whole[name] < found[name][1] for name in ("ACC", "F1"))
    assert intervals_units(true, true, ["one"] * 60, 4) == {"ACC": (1, 1), "F1": (1, 1)}


def test_draws_without_any_unit_are_left_out_of_the_intervals():
    found = intervals_units([[1], [0]], [[1], [0]], ["a", "b"], 1)
    assert found == {"ACC": (1.0, 1.0), "F1": (1.0, 1.0)}  # a quarter of the draws has "b" alone
