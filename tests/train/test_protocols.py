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


@given(st.lists(st.sampled_from("abcdefg"), min_size=3, max_size=40).filter(lambda s: len(set(s)) > 2))
def test_kfold_tests_each_sample_once_in_the_same_folds_each_time(subjects):
    who = {f"clip{i}": s for i, s in enumerate(subjects)}
    made = folds("kfold-3", who)
    assert len(made) == 3
    assert sorted(i for fold in made for i in fold.test) == sorted(who)
    assert all(sorted(fold.train + fold.test) == sorted(who) for fold in made)
    assert made == folds("kfold-3", who)


TWO = {
    "casme2/sub01_EP1": "casme2/sub01",
    "casme2/sub02_EP1": "casme2/sub02",
    "samm/006_1_2": "samm/006",
    "samm/007_1_2": "samm/007",
}


def test_cross_trains_on_one_database_and_tests_on_the_other_and_back():
    casme2, samm = tuple(TWO)[:2], tuple(TWO)[2:]
    assert folds("cross", TWO) == [Fold("samm-to-casme2", samm, casme2), Fold("casme2-to-samm", casme2, samm)]


def test_cross_with_three_databases_trains_on_two():
    made = folds("cross", {**TWO, "smic/s1_ne_01": "smic/s1"})
    assert [fold.name for fold in made] == ["samm+smic-to-casme2", "casme2+smic-to-samm", "casme2+samm-to-smic"]
    assert made[2].test == ("smic/s1_ne_01",)


def test_cross_needs_a_second_database():
    with pytest.raises(MepipeError, match="samples of several databases; there is one"):
        folds("cross", {"a": "anna", "b": "bo"})


def test_the_same_subject_of_two_databases_is_two_people_in_a_composite():
    pool = {"casme2/sub01_EP1": "casme2/1", "smic/s1_ne_01": "smic/1", "samm/006_1_2": "samm/1"}
    assert [fold.name for fold in folds("cde", pool)] == ["casme2_1", "samm_1", "smic_1"]


def test_cde_refuses_what_is_not_the_composite():
    with pytest.raises(MepipeError, match="pools casme2, smic, samm; there is casme2, samm"):
        folds("cde", TWO)
    with pytest.raises(MepipeError, match="there is one database"):
        folds("cde", {"a": "anna", "b": "bo"})


def test_a_fixed_split_has_one_training_and_a_fold_for_each_test():
    who = {"a1": "a", "a2": "a", "b1": "b", "c1": "c"}
    split = {"a1": "train", "a2": "train", "b1": "test-b", "c1": "test-a"}
    assert folds("fixed", who, split) == [
        Fold("test-a", ("a1", "a2"), ("c1",)),
        Fold("test-b", ("a1", "a2"), ("b1",)),
    ]


def test_a_fixed_split_that_tests_a_face_that_it_trained_on_is_refused():
    with pytest.raises(MepipeError, match="subject a stands on both sides"):
        folds("fixed", {"a1": "a", "a2": "a"}, {"a1": "train", "a2": "test-a"})


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({}, "2 of 2 samples have none"),
        ({"a1": "train"}, r"1 of 2 samples have none \(b1\)"),
        ({"a1": "train", "b1": "train"}, "there is train"),
        ({"a1": "test-a", "b1": "test-b"}, "there is test-a, test-b"),
    ],
)
def test_an_incomplete_split_says_what_is_missing(split, message):
    with pytest.raises(MepipeError, match=message):
        folds("fixed", {"a1": "a", "b1": "b"}, split)


def test_a_subject_on_both_sides_is_refused():
    with pytest.raises(MepipeError, match="subject anna stands on both sides"):
        check([Fold("x", ("a1", "b1"), ("a2",))], {"a1": "anna", "a2": "anna", "b1": "bo"})


def test_one_clip_under_two_names_on_both_sides_is_refused():
    who, clips = {"a": "anna", "b": "bo", "c": "cy"}, {"a": "1f", "b": "2e", "c": "1f"}
    with pytest.raises(MepipeError, match="a is tested and c is trained on, and they are one clip"):
        folds("loso", who, clips=clips)
    folds("loso", {**who, "c": "anna"}, clips=clips)  # both are then always on one side


def test_a_sample_tested_twice_is_refused():
    with pytest.raises(MepipeError, match="a is tested in folds x and y"):
        check([Fold("x", ("b",), ("a",)), Fold("y", ("c",), ("a",))], {"a": "a", "b": "b", "c": "c"})


def test_an_empty_side_is_refused():
    with pytest.raises(MepipeError, match="nothing to train on"):
        check([Fold("x", (), ("a",))], {"a": "a"})


def test_one_subject_cannot_be_left_out_or_dealt_to_folds():
    with pytest.raises(MepipeError, match="at least two subjects; there is anna"):
        folds("loso", {"a": "anna"})
    with pytest.raises(MepipeError, match="deals 1 subjects to 2 folds"):
        folds("kfold-2", {"a": "anna"})


@pytest.mark.parametrize("name", ["lopo", "kfold", "kfold-", "kfold--2"])
def test_an_unknown_protocol_says_which_there_are(name):
    with pytest.raises(UsageError, match="loso, cde, cross, fixed, kfold-K"):
        folds(name, {"a": "anna", "b": "bo"})
