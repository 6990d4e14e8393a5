"""Label schemes against the official sheets, and both against what the five papers state of their data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml

from mepipe.errors import MepipeError, UsageError
from mepipe.train import schemes
from mepipe.train.schemes import scheme, unit_set

DATA = Path(__file__).parent / "data"
SHEETS = yaml.safe_load((DATA / "sheets.yaml").read_text(encoding="utf-8"))
PAPERS = yaml.safe_load((DATA / "papers.yaml").read_text(encoding="utf-8"))


def sheet(database, name):
    (found,) = (s for s in SHEETS if s["database"] == database and s["sheet"] == name)
    return found


def counted(rules, rows):
    """Samples per class that a scheme gives on a sheet, which has named samples and many that have none."""
    column = rows[rules.column]
    named = rows.get("named", {}) if rules.column == "emotion" else {}
    listed = [(value, name) for name, value in named.items()]
    rest = Counter(column) - Counter(named.values())
    listed += [(value, f"{value}-{i}") for value, n in rest.items() for i in range(n)]
    labels = Counter(rules.label(value, name) for value, name in listed)
    assert sum(labels.values()) == sum(column.values())
    return {name: labels[i] for i, name in enumerate(rules.classes)}


def every_expectation():
    for name in schemes.names():
        for database in sorted({s["database"] for s in SHEETS}):
            try:
                rules = scheme(name, database)
            except UsageError:
                continue
            for expected in rules.expected:
                yield pytest.param(rules, database, expected, id=f"{rules.name} {expected.sheet}")


@pytest.mark.parametrize(("rules", "database", "expected"), every_expectation())
def test_expected_counts_are_what_the_scheme_gives_on_the_sheet(rules, database, expected):
    for name in expected.sheet.split(" or "):
        rows = sheet(database, name)
        assert counted(rules, rows) == expected.counts
        assert rows.get("split", "") == expected.split
        assert expected.subjects is None or expected.subjects <= rows["subjects"]


def title(entry):
    return " ".join(entry.get(k, "") for k in ("paper", "database", "scheme", "sheet")).strip()


@pytest.mark.parametrize("entry", PAPERS["counts"], ids=title)
def test_a_paper_states_what_its_scheme_gives_but_for_the_differences_named(entry):
    rules = scheme(entry["scheme"], entry["database"])
    ours = counted(rules, sheet(entry["database"], entry["sheet"]))
    differs = entry.get("differs", {})
    assert {**entry["counts"], **differs} == ours
    assert all(entry["counts"][name] != n for name, n in differs.items())
    assert not differs or entry["remark"]


def test_papers_that_disagree_say_so_in_a_remark():
    together = {}
    for entry in PAPERS["counts"]:
        key = entry["database"], frozenset(entry["counts"]), sheet(entry["database"], entry["sheet"]).get("split")
        together.setdefault(key, []).append(entry)
    disagreeing = [es for es in together.values() if any(e["counts"] != es[0]["counts"] for e in es)]
    assert len(disagreeing) == 5  # CASME II in 3 and 5 classes, CAS(ME)^3 in 3, 4 and 7
    assert all(entry.get("remark") for entries in disagreeing for entry in entries)


@pytest.mark.parametrize("entry", PAPERS["databases"], ids=title)
def test_databases_are_as_the_papers_describe_them_but_for_the_differences_named(entry):
    if entry["database"] == "cde":
        parts = [scheme("cde-3", d).expected[0] for d in ("casme2", "smic", "samm")]
        ours = {"samples": sum(sum(p.counts.values()) for p in parts), "subjects": sum(p.subjects for p in parts)}
    else:
        rows = [s for s in SHEETS if s["database"] == entry["database"]]
        parts = rows if "split" in rows[0] else rows[:1]  # editions of one sheet, or parts of a split
        ours = {
            "samples": sum(sum(s["emotion"].values()) for s in parts),
            "subjects": sum(s["subjects"] for s in parts),
        }
    stated = {k: entry[k] for k in ("samples", "subjects") if k in entry}
    differs = entry.get("differs", {})
    assert {**stated, **differs} == {k: ours[k] for k in stated}
    assert all(stated[k] != n for k, n in differs.items())
    assert not differs or entry["remark"]


def test_the_two_clips_without_a_usable_apex_and_the_three_relabelled_ones_are_left_out_by_name():
    rules = scheme("cde-3", "casme2")
    assert rules.label("disgust", "sub04_EP12_02f") == 0
    for name in ("sub04_EP12_01f", "sub05_EP09_05f", "sub24_EP07_01", "sub24_EP07_04f", "sub24_EP10_03"):
        assert rules.label("disgust", name) is None
        assert rules.label("surprise", name) is None
        assert rules.exclude[name]
        assert scheme("hcp-mer-3", "casme2").label("surprise", name) == 2


@pytest.mark.parametrize("name", ["3", "4", "5", "7", "cross-3", "objective-5", "objective-7"])
def test_the_demo_follows_samm(name):
    demo, samm = scheme(name, "demo"), scheme(name, "samm")
    assert demo.classes == samm.classes
    assert {value: demo.values[value] for value in samm.values} == samm.values
    assert not demo.expected


@pytest.mark.parametrize(("number", "name"), [("3", "cde-3"), ("4", "four"), ("5", "five"), ("7", "seven")])
def test_a_number_of_classes_names_a_scheme(number, name):
    assert scheme(number, "samm") == scheme(name, "samm")


@pytest.mark.parametrize("written", ["Happiness", " happiness ", "HAPPINESS\n"])
def test_emotions_are_compared_without_case_and_blanks(written):
    assert scheme("3", "samm").label(written, "s") == 1


@pytest.mark.parametrize(("emotion", "shown"), [("bored", "emotion 'bored'"), ("", "no emotion"), (None, "no emotion")])
def test_an_unknown_emotion_names_the_sample(emotion, shown):
    with pytest.raises(MepipeError, match="Sample 006_1_2 has " + shown):
        scheme("3", "samm").label(emotion, "006_1_2")


def test_objective_classes_are_those_of_the_manifests_column():
    rules = scheme("objective-5", "casme2")
    assert rules.column == "objective"
    assert [rules.label(n, "s") for n in range(1, 8)] == [0, 1, 2, 3, 4, None, None]
    with pytest.raises(MepipeError, match="Sample s has no objective class"):
        rules.label(None, "s")


def test_a_scheme_that_is_not_there_says_which_are():
    with pytest.raises(UsageError, match=r"3, 4, 5, 7, cde-3, .*five"):
        scheme("6", "samm")
    with pytest.raises(UsageError, match="Did you mean 'seven'"):
        scheme("sevn", "samm")
    with pytest.raises(UsageError, match="samm, demo, casme2"):
        scheme("5", "smic")
    assert scheme("3", "anyones").label("happy", "s") == 1


@pytest.mark.parametrize("entry", PAPERS["unit_sets"], ids=title)
def test_action_units_are_the_papers(entry):
    assert unit_set(entry["set"], entry["database"]).units == tuple(entry["units"])


@pytest.mark.parametrize(
    ("aus", "targets"),
    [
        ("4+7", (0, 1, 1, 0)),
        ("R12", (0, 0, 0, 1)),
        ("7B+ref(43)", (0, 0, 1, 0)),
        ("L2+R2", (1, 0, 0, 0)),
        ("R12|R14", (0, 0, 0, 1)),
        ("9", (0, 0, 0, 0)),
        ("M57+AD38", (0, 0, 0, 0)),
        ("?", None),
        ("", None),
    ],
)
def test_units_count_whatever_their_side_and_intensity_and_not_where_nobody_coded_them(aus, targets):
    assert unit_set("micro-au", "samm").targets(aus, "s") == targets


def test_units_that_cannot_be_read_name_the_sample():
    with pytest.raises(MepipeError, match=r"Sample 006_1_2: Action units: 'FROWN' of '4\+frown'"):
        unit_set("micro-au", "samm").targets("4+frown", "006_1_2")
