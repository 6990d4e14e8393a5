"""From row to sample: what is kept, what is left out, and what is said of it."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.datasets.checks import Correction, accept, claim, reported, unlisted
from mepipe.datasets.findings import Release
from mepipe.errors import MepipeError

FIELDS = {"id": "a_1", "subject": "a", "clip": "a/1", "onset": 100, "apex": 120, "offset": 160, "fps": 200.0}


@pytest.fixture
def root(tmp_path):
    fill(tmp_path / "a/1", range(90, 171))
    return tmp_path


def fill(folder, numbers):
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"img{number}.jpg").touch()


def tried(root, *, corrections=(), emotions=(), **fields):
    release = Release()
    sample = accept(release, "s.xlsx, row 2", root, corrections=corrections, emotions=emotions, **FIELDS | fields)
    assert release.samples == ([] if sample is None else [sample])
    assert all(f.where == "s.xlsx, row 2" for f in release.findings)
    return sample, [(f.severity, f.message) for f in release.findings]


def test_a_good_row_becomes_a_sample_without_a_word(root):
    sample, said = tried(root, emotion="Fear", aus="AU4+7 ", emotions=["fear"])
    assert said == []
    assert (sample.id, sample.onset, sample.apex, sample.offset) == ("a_1", 100, 120, 160)
    assert (sample.aus, sample.missing, sample.note) == ("4+7", (), "")


@pytest.mark.parametrize(("fields", "message"), [
    ({"onset": 161}, "onset 161 lies after offset 160"),
    ({"offset": 100, "apex": 100}, "onset and offset are the same frame, 100"),
    ({"onset": -1}, "onset -1"),
    ({"fps": 0}, "fps 0"),
    ({"id": ""}, "a row without a name: id ''"),
    ({"id": "a/1"}, "id 'a/1'"),
    ({"clip": "../../etc"}, "a path inside the root"),
    ({"clip": "a/2"}, "No folder of frames at"),
    ({"emotion": "", "emotions": ["fear", "anger"]}, "a_1: no emotion. Fill it in with one of fear, anger"),
    ({"offset": 171}, "1 of frames 100..171 are not in a/1 (missing: 171; there: 90..170)"),
    ({"onset": 89}, "(missing: 89; there: 90..170)"),
    ({"offset": 10**15}, f"missing: 171-{10**15}"),
])  # fmt: skip
def test_what_makes_no_sample_is_left_out_with_the_reason(root, fields, message):
    sample, said = tried(root, **fields)
    assert sample is None
    assert [severity for severity, _ in said if severity == "error"] == ["error"]
    assert message in said[-1][1]


@pytest.mark.parametrize(("fields", "kept", "severity", "message"), [
    ({"apex": 99}, {"apex": None, "note": "apex 99 of the sheet lies outside onset 100 .. offset 160; dropped"},
     "warning", "spot-apex"),
    ({"apex": 161}, {"apex": None}, "warning", "apex 161 of the sheet lies outside"),
    ({"apex": None}, {"apex": None, "note": ""}, "warning", "no apex in the sheet"),
    ({"apex": 100}, {"apex": 100}, "warning", "the apex is the onset, 100"),
    ({"apex": 160}, {"apex": 160}, "warning", "the apex is the offset, 160"),
    ({"emotion": "Others", "emotions": ["other"]}, {"emotion": "Others"}, "warning", "'Others' is none of other"),
    ({"aus": "4+soft focus"}, {"aus": "4"}, "note", "'soft focus' among the action units"),
    ({"aus": "4;7"}, {"aus": ""}, "warning", "'4;7' of '4;7' cannot be read"),
    ({"fps": 60.0}, {"fps": 60.0}, "note", "61 frames at 60 fps are 1.0 s"),
    ({"fps": 20.0}, {"fps": 20.0}, "warning", "61 frames at 20 fps are 3.0 s, too long"),
])  # fmt: skip
def test_what_is_odd_is_kept_and_said(root, fields, kept, severity, message):
    sample, said = tried(root, **fields)
    assert {name: getattr(sample, name) for name in kept} == kept
    assert [s for s, _ in said] == [severity]
    assert said[0][1].startswith("a_1: ")
    assert message in said[0][1]


def test_a_database_without_apexes_is_not_told_so(root):
    release = Release()
    fields = {name: value for name, value in FIELDS.items() if name != "apex"}
    assert accept(release, "a/1", root, **fields).apex is None
    assert release.findings == []


def test_of_two_rows_of_one_name_the_first_counts_even_if_it_was_left_out(root):
    release = Release()
    assert accept(release, "row 2", root, **FIELDS | {"clip": "nowhere"}) is None
    assert accept(release, "row 3", root, **FIELDS) is None
    assert "a_1 stands in row 2 too" in release.findings[-1].message


@given(st.data())
def test_missing_frames_are_filled_only_where_they_are_few(tmp_path_factory, data):
    lacking = data.draw(st.sets(st.integers(100, 160), max_size=12))
    root = tmp_path_factory.mktemp("clip")
    fill(root / "a/1", [n for n in range(90, 171) if n not in lacking])
    sample, said = tried(root)
    three_in_a_row = any({n, n + 1, n + 2} <= lacking for n in lacking)
    too_many = len(lacking) > 6  # a tenth of 61
    if lacking & {100, 160} or three_in_a_row or too_many:
        assert sample is None
        assert [severity for severity, _ in said] == ["error"]
        assert f"{len(lacking)} of frames 100..160 are not in a/1" in said[0][1]
    else:
        assert sample.missing == tuple(sorted(lacking))
        assert [severity for severity, _ in said] == ["warning"] * bool(lacking)


APEX = Correction("a_1", "apex", 1120, 130, "apex 1120 is a slip")


@pytest.mark.parametrize(("apex", "becomes"), [(1120, 130), (121, 121)])
def test_a_known_error_is_corrected_only_where_it_still_is(root, apex, becomes):
    other = Correction("a_2", "apex", apex, 101, "of another clip")
    sample, said = tried(root, apex=apex, corrections=[other, APEX], note="seen before")
    assert sample.apex == becomes
    if becomes == apex:
        assert (said, sample.note) == ([], "seen before")
    else:
        assert said == [("note", "a_1: apex 1120 is a slip.")]
        assert sample.note == "seen before; apex 1120 is a slip"


def test_a_correction_may_name_another_field_or_keep_the_value(root):
    repeated = Correction("a_1", "apex", "offset", 130, "the apex is the offset")
    assert tried(root, apex=160, corrections=[repeated])[0].apex == 130
    assert tried(root, apex=159, corrections=[repeated])[0].apex == 159
    assert tried(root, apex=None, corrections=[Correction("a_1", "apex", None, 130, "none")])[0].apex == 130
    sample, said = tried(root, corrections=[Correction("a_1", "apex", 120, 120, "odd; kept")])
    assert (sample.apex, sample.note) == (120, "odd; kept")
    assert [severity for severity, _ in said] == ["note"]


def test_an_error_inside_is_reported_and_the_work_goes_on():
    release = Release()
    with reported(release, "row 4"):
        raise MepipeError("bad")
    with pytest.raises(ZeroDivisionError), reported(release, "row 5"):
        _ = 1 / 0
    assert [str(f) for f in release.findings] == ["error: row 4: bad"]


def test_a_folder_is_of_one_clip_only(tmp_path):
    used = {}
    claim(used, tmp_path / "EP02_01f", "sub01_EP02_01f")
    claim(used, tmp_path / "EP02_01f", "sub01_EP02_01f")  # a row twice is reported as such
    with pytest.raises(MepipeError, match="sub01_EP02_01F: its folder, EP02_01f, is that of sub01_EP02_01f"):
        claim(used, tmp_path / "EP02_01f", "sub01_EP02_01F")


def test_a_folder_whose_name_is_no_text_is_no_clip(tmp_path):
    name = os.fsdecode(b"a\xff")
    fill(tmp_path / name, range(90, 171))
    sample, said = tried(tmp_path, clip=name)
    assert sample is None
    assert said[-1][0] == "error"
    assert r"'a\udcff' holds bytes that are no text" in said[-1][1]


def test_folders_that_no_row_leads_to_are_named(tmp_path):
    release = Release()
    unlisted(release, tmp_path, [tmp_path / "a/1", tmp_path / "a/2"], {tmp_path / "a/1"}, "s.xlsx")
    assert [str(f) for f in release.findings] == ["warning: a/2: has no row in s.xlsx and is passed over."]
