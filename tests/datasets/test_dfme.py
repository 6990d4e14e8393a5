"""DFME: three sheets, a fixed split, a frame rate for each subject."""

import pytest

from mepipe.datasets import dfme
from mepipe.datasets.demo import workbook
from mepipe.errors import MepipeError
from tests.datasets import lookalike

TITLES = ("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId", "Fps", "AU")


@pytest.fixture
def release(tmp_path):
    entries, _ = lookalike.make("dfme", tmp_path, subjects=4, clips=2)
    return tmp_path, entries


def test_the_three_parts_become_the_column_split(release):
    root, entries = release
    found = dfme.read(root)
    splits = {sample.subject: sample.split for sample in found.samples}
    assert splits == {"sub0001": "train", "sub0002": "test-a", "sub0003": "test-b", "sub0004": "train"}
    rates = {sample.subject: sample.fps for sample in found.samples}
    assert rates == {"sub0001": 200, "sub0002": 300, "sub0003": 500, "sub0004": 200}
    seconds = {sample.fps: (sample.offset - sample.onset + 1) / sample.fps for sample in found.samples}
    assert all(0.14 < value < 0.52 for value in seconds.values())  # 30 to 101 frames at 200 fps, at any rate
    assert len(found.samples) == len(entries)


def test_a_part_without_a_sheet_is_passed_over_with_a_note(release):
    root, _ = release
    (root / "full_release_annotation/full_release_annotation/testB_full_with_AU.xlsx").unlink()
    found = dfme.read(root)
    assert [(f.severity, f.message) for f in found.findings] == [
        ("note", "no sheet of the part test-b: its clips are passed over.")
    ]
    assert {s.split for s in found.samples} == {"train", "test-a"}


def test_clips_are_found_wherever_the_folder_of_their_part_is(release):
    root, _ = release
    before = dfme.read(root).samples
    (root / "test_data_A/test_data_A").rename(root / "A")
    (root / "test_data_B").rename(root / "train_data/B")
    found = dfme.read(root)
    assert found.findings == []
    assert [s.model_copy(update={"clip": ""}) for s in found.samples] == [
        s.model_copy(update={"clip": ""}) for s in before
    ]
    assert {s.clip.rpartition("/")[0] for s in found.samples} == {
        "train_data/train_data",
        "A",
        "train_data/B/test_data_B",
    }


def test_capitals_make_no_second_subject_or_clip(release):
    root, entries = release
    row = [entries[0].subject.upper(), entries[0].name.upper(), entries[0].onset, entries[0].apex, entries[0].offset]
    sheet = root / "full_release_annotation/full_release_annotation/training_full_with_AU.xlsx"
    rows = [[*row, "Disgust", 2, 200, "4"], [row[0].lower(), row[1].lower(), *row[2:], "disgust", 2, 200, "4"]]
    workbook.write(sheet, {"Sheet1": [TITLES, *rows]})
    found = dfme.read(root)
    assert [s.subject for s in found.samples if s.split == "train"] == [entries[0].subject]
    assert [f.where for f in found.findings if f.severity == "error"] == ["training_full_with_AU.xlsx, row 3"]


def test_a_sheet_without_action_units_or_numbers_is_enough(tmp_path):
    folder = tmp_path / "train_data" / "sub0008_02"
    folder.mkdir(parents=True)
    for number in range(200):
        (folder / f"{number:05d}.png").touch()
    cells = [TITLES[:6] + TITLES[7:8], ("sub0008", "sub0008_02", 0, 113, 199, "Happiness", 500)]
    workbook.write(tmp_path / "train.xlsx", {"Sheet1": cells})
    (sample,) = dfme.read(tmp_path).samples
    assert (sample.onset, sample.apex, sample.offset, sample.fps, sample.aus) == (0, 113, 199, 500, "")


@pytest.mark.parametrize(("column", "value", "severity", "message"), [
    ("Fps", 250, "warning", "250 fps; DFME has 200, 300 and 500"),
    ("Fps", None, "error", "Fps is ''"),
    ("Fps", 0, "error", "fps 0"),
    ("Subject", "sub0009", "warning", "is not a clip of subject 'sub0009'"),
    ("EmotionId", 0, "warning", "EmotionId 0 does not stand for"),
    ("EmotionId", None, None, ""),
    ("Emotion", "others", "warning", "'others' is none of anger"),
    ("Filename", "sub0001_99", "error", "no folder 'sub0001_99'"),
])  # fmt: skip
def test_odd_cells_are_reported_with_their_row(release, column, value, severity, message):
    root, entries = release
    first = entries[0]
    row = {
        **dict(zip(TITLES, (first.subject, first.name, first.onset, first.apex, first.offset), strict=False)),
        "Emotion": "disgust",
        "EmotionId": 2,
        "Fps": 200,
        "AU": "L12",
    }
    sheet = root / "full_release_annotation/full_release_annotation/training_full_with_AU.xlsx"
    workbook.write(sheet, {"Sheet1": [TITLES, [(row | {column: value})[title] for title in TITLES]]})
    said = [f for f in dfme.read(root).findings if f.where == "training_full_with_AU.xlsx, row 2"]
    assert [f.severity for f in said] == ([severity] if severity else [])
    assert all(message in f.message for f in said)


def test_what_cannot_be_read_at_all_says_what_to_do(tmp_path):
    with pytest.raises(MepipeError, match="No clips' folders"):
        dfme.read(tmp_path)
    (tmp_path / "train_data/sub0001_01").mkdir(parents=True)
    with pytest.raises(MepipeError, match="No annotation sheet"):
        dfme.read(tmp_path)
