"""Label schemes against the tables of the databases."""

import pytest

from mepipe.errors import MepipeError, UsageError
from mepipe.train.schemes import scheme

# Emotion counts of the released annotation sheets, and the class sizes that MEGC 2019 and the MPT paper state.
SAMM = {
    "Anger": 57,
    "Happiness": 26,
    "Other": 26,
    "Surprise": 15,
    "Contempt": 12,
    "Disgust": 9,
    "Fear": 8,
    "Sadness": 6,
}
CASME2 = {"others": 99, "disgust": 63, "happiness": 32, "repression": 27, "surprise": 25, "sadness": 7, "fear": 2}


def sizes(name, dataset, counts):
    rules = scheme(name, dataset)
    totals = dict.fromkeys(rules.classes, 0)
    for emotion, count in counts.items():
        label = rules.label(emotion, "a sample")
        if label is not None:
            totals[rules.classes[label]] += count
    return totals


def test_samm_in_three_classes_is_the_composites():
    assert sizes("3", "samm", SAMM) == {"negative": 92, "positive": 26, "surprise": 15}


def test_casme2_keeps_disgust_and_repression_only_as_negative():
    # 90 before the composite leaves two clips out
    assert sizes("3", "casme2", CASME2) == {"negative": 90, "positive": 32, "surprise": 25}


def test_samm_in_five_classes_is_the_papers():
    assert sizes("5", "samm", SAMM) == {"anger": 57, "happiness": 26, "other": 26, "surprise": 15, "contempt": 12}


@pytest.mark.parametrize("name", ["3", "5"])
def test_the_demo_follows_samm(name):
    demo, samm = scheme(name, "demo"), scheme(name, "samm")
    assert (demo.classes, demo.emotions) == (samm.classes, samm.emotions)


@pytest.mark.parametrize("written", ["Happiness", " happiness ", "HAPPINESS\n"])
def test_emotions_are_compared_without_case_and_blanks(written):
    assert scheme("3", "samm").label(written, "s") == 1


@pytest.mark.parametrize(("emotion", "shown"), [("bored", "emotion 'bored'"), ("", "no emotion")])
def test_an_unknown_emotion_names_the_sample(emotion, shown):
    with pytest.raises(MepipeError, match="Sample 006_1_2 has " + shown):
        scheme("3", "samm").label(emotion, "006_1_2")


def test_a_scheme_that_is_not_there_says_which_are():
    with pytest.raises(UsageError, match="3, 5"):
        scheme("7", "samm")
    with pytest.raises(UsageError, match="samm, demo, casme2"):
        scheme("5", "smic")
    assert scheme("3", "anyones").label("happy", "s") == 1
