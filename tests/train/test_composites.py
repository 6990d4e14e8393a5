"""The composite of MEGC 2019: ids in all forms that circulate; the list made from sheets of the official shape."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mepipe.datasets import adapters
from mepipe.errors import MepipeError, UsageError
from mepipe.train import composites, protocols
from mepipe.train.composites import from_official, read_official, to_official
from tests.train import official

# Dataset, subject, clip, label (0 negative, 1 positive, 2 surprise) of the 442, as combined_3class_gt.csv has them.
# From the copy in wangzhifengharrison/HTNet; names agree with christy1206/STSTNet's video442Names.txt, and labels per
# subject with its log.
TEXT = (Path(__file__).parent / "data" / "cde_442.csv").read_text(encoding="utf-8")
ROWS = [line.split(",") for line in TEXT.splitlines()]


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (("casme2", "sub01", "EP02_01f"), "casme2/sub01_EP02_01f"),
        (("casme2", "1", "EP02_01f"), "casme2/sub01_EP02_01f"),
        (("casme2", "07", "EP06_02_01"), "casme2/sub07_EP06_02_01"),
        (("casme2", "sub09", "EP09f"), "casme2/sub09_EP09f"),
        (("smic", "s01", "s01_ne_01"), "smic/s1_ne_01"),
        (("smic", "s1", "s1_ne_01"), "smic/s1_ne_01"),
        (("smic", "20", "s20_sur_05"), "smic/s20_sur_05"),
        (("samm", "6", "006_5_10"), "samm/006_5_10"),
        (("samm", "006", "006_5_10"), "samm/006_5_10"),
    ],
)
def test_a_sample_has_one_key_however_a_list_writes_it(row, key):
    assert from_official(*row) == key


@pytest.mark.parametrize(
    "row",
    [
        ("casme3", "spNO.1", "e"),
        ("casme2", "sub01", "006_1_2"),
        ("smic", "s01", "s02_ne_01"),  # another subject's clip
        ("samm", "7", "006_1_2"),
        ("samm", "", "006_1_2"),
        ("casme2", "sub01", "EP02/../x"),
    ],
)
def test_what_is_no_sample_of_the_list_is_refused(row):
    with pytest.raises(MepipeError, match="is no sample of MEGC 2019's list"):
        from_official(*row)


def test_keys_and_the_official_form_are_inverse_on_all_442():
    keys = list(read_official(TEXT))
    assert len(set(keys)) == 442
    assert [list(to_official(key)) for key in keys] == [row[:3] for row in ROWS]


def as_handed_out():
    return TEXT.replace("\n", "\r\n")


def with_a_header():
    return "data,subject,clip,label\n" + TEXT


def as_in_htnet():
    lines = ["dataset,sub,filename_o,label,apex,imagename,sub_filename"]
    for dataset, subject, clip, label in ROWS:
        subject = f"{int(subject):03d}" if dataset == "samm" else subject
        lines.append(f"{dataset},{subject},{clip},{label},,{subject}_{clip}.jpg,")
    return "\n".join(lines)


@pytest.mark.parametrize("form", [as_handed_out, with_a_header, as_in_htnet], ids=lambda form: form.__name__)
def test_all_forms_of_the_list_that_circulate_read_the_same(form):
    assert read_official(form()) == read_official(TEXT)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("casme2,sub01,EP02_01f,1", "line 443: casme2/sub01_EP02_01f stands above already"),
        ("casme2,sub01,EP02_77,3", r"line 443: .* label \(0, 1 or 2\)"),
        ("casme2,sub01", "line 443: 'casme2,sub01' is not"),
        ("mmew,1,x,0", "line 443: 'mmew'"),
    ],
)
def test_a_line_that_is_wrong_is_named(line, message):
    with pytest.raises(MepipeError, match=message):
        read_official(TEXT + line)


def test_an_empty_list_is_refused():
    with pytest.raises(MepipeError, match="no samples"):
        read_official("dataset,subject,clip,label\n")


def test_the_published_list_has_the_published_shape():
    labels = Counter((composites.database(key), label) for key, label in read_official(TEXT).items())
    assert [labels["casme2", i] for i in range(3)] == [88, 32, 25]
    assert [labels["smic", i] for i in range(3)] == [70, 51, 43]
    assert [labels["samm", i] for i in range(3)] == [92, 26, 15]


def test_a_composite_says_whose_manifest_is_missing():
    with pytest.raises(UsageError, match="smic, samm is missing"):
        composites.composite("cde", {"casme2": []})


@pytest.mark.parametrize("edition", ["2014", "2019"])
def test_the_list_made_from_sheets_of_the_official_shape_is_the_published_one(tmp_path, edition):
    of = {name: [row[1:] for row in ROWS if row[0] == name] for name in ("casme2", "smic", "samm")}
    releases = {
        "casme2": official.casme2(tmp_path / "casme2", of["casme2"], edition),
        "smic": official.smic(tmp_path / "smic", of["smic"]),
        "samm": official.samm(tmp_path / "samm", of["samm"]),
    }
    manifests = {name: adapters.load(name).read(root).samples for name, root in releases.items()}
    assert {name: len(samples) for name, samples in manifests.items()} == {"casme2": 255, "smic": 164, "samm": 159}

    made = composites.composite("cde", manifests)
    assert made.labels == read_official(TEXT)
    assert Counter(map(composites.database, set(made.subjects.values()))) == {"casme2": 24, "smic": 16, "samm": 28}
    folds = protocols.folds("cde", made.subjects)
    assert len(folds) == 68
    assert {len(fold.train) + len(fold.test) for fold in folds} == {442}
