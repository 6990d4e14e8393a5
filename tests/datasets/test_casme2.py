"""CASME II: the editions of its sheet, the forms of its frames, and clips whose frames disagree with the sheet."""

import openpyxl
import pytest

from mepipe.datasets import casme2
from mepipe.datasets.demo import casme2_layout, workbook
from mepipe.errors import MepipeError
from tests.datasets import lookalike

TITLES = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("casme2")
    lookalike.make("casme2", root, subjects=2, clips=2)
    return root


@pytest.fixture
def release(made, tmp_path):
    """The look-alike's frames, linked, and a sheet of one's own."""
    (tmp_path / "CASME2_RAW_selected").symlink_to(made / "CASME2_RAW_selected")
    return tmp_path


def rows_of(root):
    page = openpyxl.load_workbook(root / casme2_layout.SHEET)["Sheet1"]
    return [list(row) for row in page.iter_rows(min_row=2, values_only=True)]


def write(root, name, rows, titles=TITLES):
    workbook.write(root / name, {"Sheet1": [titles, *rows], "Sheet2": [], "Sheet3": []})


def one(root, subject, film, course, frames, prefix="img", home="CASME2_RAW_selected", emotion="disgust"):
    """A release of one clip."""
    folder = root / home / f"sub{subject}" / film
    folder.mkdir(parents=True)
    for number in frames:
        (folder / f"{prefix}{number}.jpg").touch()
    write(root, "CASME2-coding-20190701.xlsx", [(subject, film, *course, "4+7", emotion)])
    found = casme2.read(root)
    return found.samples, [(f.severity, f.message) for f in found.findings]


def test_every_edition_of_the_sheet_gives_the_same_clips(made, release):
    official = casme2.read(made).samples
    rows = rows_of(made)
    without = [(s, f, *course, aus, emotion) for s, f, _, *course, _, aus, emotion, _ in rows]
    plain = [s.model_copy(update={"objective": None}) for s in official]

    editions = {
        "CASME2-coding-20140508.xlsx": [(s, f, None, *c, None, aus, e) for s, f, *c, aus, e in without],
        "CASME2_label_Ver_2.xlsx": without,
        "CASME2-coding-updated.xlsx": [(int(s), *rest) for s, *rest in without],
    }
    for name, cells in editions.items():
        titles = (*TITLES[:2], None, *TITLES[2:5], None, *TITLES[5:]) if "2014" in name else TITLES
        write(release, name, cells, titles)
        found = casme2.read(release)
        assert found.findings == []
        assert found.samples == plain
        (release / name).unlink()


def test_classes_come_from_a_sheet_of_their_own_where_the_coding_has_none(made, release):
    rows = rows_of(made)
    write(release, "CASME2_label_Ver_2.xlsx", [(s, f, *c, a, e) for s, f, _, *c, _, a, e, _ in rows])
    classes = [(row[0], row[1], row[-1]) for row in reversed(rows)]
    write(release, "CASME2-ObjectiveClasses.xlsx", classes, ("Subject", "Filename", "Objective Class"))
    found = casme2.read(release)
    assert found.findings == []
    assert found.samples == casme2.read(made).samples


@pytest.mark.parametrize(("home", "prefix"), [
    ("CASME2/CASME2_RAW_selected/CASME2_RAW_selected", "img"),
    ("CASME2-RAW", "img"),
    ("Cropped-updated/Cropped", "reg_img"),
    ("CASME2_preprocessed_Li Xiaobai/Cropped", "reg_img"),
    (".", "img"),
])  # fmt: skip
def test_every_form_of_the_frames_is_found(tmp_path, home, prefix):
    (sample,), said = one(tmp_path, "01", "EP02_01f", (46, 59, 86), range(40, 99), prefix, home)
    assert said == []
    assert sample.clip == f"{home}/sub01/EP02_01f".removeprefix("./")


def test_raw_frames_come_before_cropped_ones(tmp_path):
    (tmp_path / "Cropped/sub01/EP02_01f").mkdir(parents=True)
    (tmp_path / "CASME2_compressed/sub01").mkdir(parents=True)
    (sample,), said = one(tmp_path, "01", "EP02_01f", (46, 59, 86), range(46, 87), home="CASME2-RAW")
    assert sample.clip == "CASME2-RAW/sub01/EP02_01f"
    assert [severity for severity, _ in said] == ["note"]
    assert "not from Cropped, CASME2_compressed" in said[0][1] or "not from CASME2_compressed, Cropped" in said[0][1]


@pytest.mark.parametrize(("subject", "film", "course", "frames", "becomes", "severities"), [
    ("07", "EP06_01", (15, 49, 68), range(56, 92), (56, 73, 91), ["note"]),
    ("07", "EP06_01", (15, 49, 68), range(15, 69), (15, 49, 68), []),
    ("07", "EP06_01", (15, 49, 68), range(1, 120), (15, 49, 68), ["warning"]),
    ("07", "EP06_01", (56, 73, 91), range(56, 92), (56, 73, 91), []),
    ("12", "EP09_02", (16, 59, 101), range(161, 207), (161, 183, 206), ["note"]),
    ("16", "EP01_08", (73, 94, 110), range(73, 97), (73, 94, 96), ["note"]),
    ("16", "EP01_08", (73, 94, 110), range(73, 111), (73, 94, 110), []),
    ("16", "EP01_08", (73, 94, 110), range(73, 90), None, ["error"]),
    ("04", "EP12_01f", (261, "/", 321), range(261, 322), (261, 279, 321), ["note"]),
    ("04", "EP12_01f", (261, 300, 321), range(261, 322), (261, 300, 321), []),
    ("05", "EP09_05f", (69, 69, 130), range(69, 131), (69, 81, 130), ["note"]),
    ("25", "EP18_04f", (60, 120, 120), range(60, 121), (60, 98, 120), ["note"]),
    ("09", "EP02_01", (60, 120, 120), range(60, 121), (60, 120, 120), ["warning"]),
])  # fmt: skip
def test_known_errors_are_mended_as_the_frames_and_the_list_say(
    tmp_path, subject, film, course, frames, becomes, severities
):
    samples, said = one(tmp_path, subject, film, course, frames)
    assert [(s.onset, s.apex, s.offset) for s in samples] == ([] if becomes is None else [becomes])
    assert [severity for severity, _ in said] == severities
    assert all(bool(s.note) == (severities == ["note"]) for s in samples)


@pytest.mark.parametrize(("emotion", "severities"), [("surprise", ["note"]), ("sadness", [])])
def test_an_emotion_that_differs_between_editions_is_noted_where_it_is_the_new_one(tmp_path, emotion, severities):
    (sample,), said = one(tmp_path, "24", "EP07_01", (20, 40, 70), range(20, 71), emotion=emotion)
    assert [severity for severity, _ in said] == severities
    assert ("sadness in that of 2014" in sample.note) == bool(severities)


def test_a_row_of_the_older_coding_without_labels_is_passed_over(tmp_path):
    samples, said = one(tmp_path, "09", "EP02_02f", (26, 98, 171), range(26, 172), emotion=None)
    assert samples == []
    assert [severity for severity, _ in said] == ["note"]


@pytest.mark.parametrize("subject", ["27a", "x", None, "../01"])
def test_a_subject_that_is_none_is_an_error(release, subject):
    write(release, "CASME2-coding-20190701.xlsx", [(subject, "EP02_01f", 46, 59, 86, 12, "happiness")])
    found = casme2.read(release)
    assert found.samples == []
    assert found.findings[0].severity == "error"
    assert found.findings[0].where == "CASME2-coding-20190701.xlsx, row 2"
    assert "Subject is" in found.findings[0].message


def test_what_cannot_be_read_at_all_says_what_to_do(tmp_path):
    with pytest.raises(MepipeError, match="No folder at"):
        casme2.read(tmp_path / "nowhere")
    with pytest.raises(MepipeError, match="No subjects' folders"):
        casme2.read(tmp_path)
    (tmp_path / "sub01").mkdir()
    with pytest.raises(MepipeError, match="No annotation sheet"):
        casme2.read(tmp_path)
