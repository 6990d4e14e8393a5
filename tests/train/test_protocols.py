"""Folds: each subject tested once, and never trained on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.errors import MepipeError, UsageError
from mepipe.train.protocols import Fold, check, folds


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=30).filter(lambda s: len(set(s)) > 1))
def test_loso_tests_each_sample_once_and_never_with_its_subject_in_training(subjects):
    who = {f"clip{i}": s for i, s in enumerate(subjects)}
    made = folds("loso", who)
    assert sorted(i for fold in made for i in fold.test) == sorted(who)
    for fold in made:
        assert {who[i] for i in fold.test} == {fold.name}
        assert set(fold.train) == {i for i in who if who[i] != fold.name}


def test_a_subject_on_both_sides_is_refused():
    with pytest.raises(MepipeError, match="subject anna stands on both sides"):
        check([Fold("x", ("a1", "b1"), ("a2",))], {"a1": "anna", "a2": "anna", "b1": "bo"})


def test_a_sample_tested_twice_is_refused():
    with pytest.raises(MepipeError, match="a is tested in folds x and y"):
        check([Fold("x", ("b",), ("a",)), Fold("y", ("c",), ("a",))], {"a": "a", "b": "b", "c": "c"})


def test_an_empty_side_is_refused():
    with pytest.raises(MepipeError, match="nothing to train on"):
        check([Fold("x", (), ("a",))], {"a": "a"})


def test_one_subject_cannot_be_left_out():
    with pytest.raises(MepipeError, match="at least two subjects; there is anna"):
        folds("loso", {"a": "anna"})


def test_an_unknown_protocol_says_which_there_are():
    with pytest.raises(UsageError, match="loso"):
        folds("cde", {"a": "anna", "b": "bo"})
