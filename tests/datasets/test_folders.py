import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.datasets.findings import Release
from mepipe.datasets.folders import Folders, _loosely, home, homes
from mepipe.errors import MepipeError


def folders(root, *paths):
    for path in paths:
        (root / path).mkdir(parents=True)


def test_capitals_and_the_padding_of_subjects_do_not_matter(tmp_path):
    folders(tmp_path, "Sub1/EP02_01f", "sub10/EP01_02", "sub10/x", "sub10/X", "sub10/.hidden", "sub02/a", "SUB02/a")
    listed = Folders()
    assert listed.find(tmp_path, "sub01", "ep02_01F") == tmp_path / "Sub1/EP02_01f"
    assert listed.find(tmp_path, "sub10", "x") == tmp_path / "sub10/x"
    assert listed.find(tmp_path, "sub02", "a") == tmp_path / "sub02/a"
    with pytest.raises(MepipeError, match="sub2/a: several folders like sub2: SUB02, sub02"):
        listed.find(tmp_path, "sub2", "a")
    with pytest.raises(MepipeError, match="no folder 'EP01_2'"):  # another clip than EP01_02
        listed.find(tmp_path, "sub10", "EP01_2")
    for outside in ("..", ".", "", "Sub1/EP02_01f", "sub100", ".hidden"):
        with pytest.raises(MepipeError, match="no folder"):
            listed.find(tmp_path, outside)
    assert listed.names(tmp_path / "sub10") == ["EP01_02", "X", "x"]
    assert listed.names(tmp_path / "nowhere") == []


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_two_numbers_are_alike_only_if_they_are_equal(a, b):
    assert (_loosely(f"EP{a:05d}_1") == _loosely(f"ep{b}_01")) == (a == b)


def test_the_preferred_home_of_the_subjects_is_chosen_and_the_others_are_named(tmp_path):
    folders(tmp_path, "Cropped/sub01/sub02", "A/RAW_selected/RAW_selected/sub01", "a/b/c/d/sub03", "other")
    assert [p.relative_to(tmp_path).as_posix() for p in homes(tmp_path, r"sub[0-9]{2}")] == [
        "Cropped",
        "A/RAW_selected/RAW_selected",
    ]
    release = Release()
    assert (
        home(tmp_path, r"sub[0-9]{2}", ["raw_selected"], "sub01", release) == tmp_path / "A/RAW_selected/RAW_selected"
    )
    (finding,) = release.findings
    assert (finding.severity, finding.where) == ("note", "A/RAW_selected/RAW_selected")
    assert "not from Cropped" in finding.message
    assert home(tmp_path / "Cropped", r"sub[0-9]{2}", ["raw_selected"], "sub01", Release()) == tmp_path / "Cropped"


def test_nothing_found_says_what_to_give(tmp_path):
    with pytest.raises(MepipeError, match=r"No subjects' folders \(sub01, \.\.\.\) in"):
        home(tmp_path, r"sub[0-9]{2}", [], "sub01, ...", Release())
    with pytest.raises(MepipeError, match="No folder at"):
        home(tmp_path / "nowhere", r"sub[0-9]{2}", [], "sub01, ...", Release())
