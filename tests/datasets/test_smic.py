"""The SMIC adapter, on look-alikes of its three forms. It never decodes, so frames are empty files here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe.datasets import smic
from mepipe.datasets.demo import plan, smic_layout, workbook
from mepipe.datasets.findings import Release
from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError

ENTRIES = smic_layout.adapt(plan.entries(3, 4, seed=1, fps=smic_layout.FPS))

# The first edition has a row for each expression, the second up to three expressions in a row.
FIRST_EDITION = "SMIC-HS-E_annotation_orig.xlsx"
SECOND_EDITION = "SMIC-HS-E_annotation.xlsx"
_ENDS = ["FirstF", "LastF"]
FIRST_TITLES = [
    *("Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", None, *_ENDS),
    *("TotalMF1", "TotalMF2", "TotalVL", "Emotion", None, None),
]
SECOND_TITLES = [
    *("Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "Onset3F", "Offset3F", None, *_ENDS),
    *("TotalMF1", "TotalMF2", "TotalMF3", "TotalVL", "Emotion", None, None),
]


def touch(folder: Path, first: int, last: int, name: str = "image{:06d}.bmp") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last + 1):
        (folder / name.format(number)).touch()


def computed(value: object) -> object:
    return workbook.Formula("=VIS!E2*4", value) if isinstance(value, int) else value


def write_edition(path: Path, titles: Sequence[str | None], rows: Sequence[dict[str, object]]) -> None:
    """A sheet as in the release: offsets and what follows them are formulas, other cameras have pages of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells: list[list[object]] = [list(titles)]
    for row in rows:
        values = {title: value if title in ("Subject", "OnsetF") else computed(value) for title, value in row.items()}
        cells.append([values.get(title) if title else None for title in titles])
    pages = {"HS": cells, "VIS": [list(titles)], "Sheet2": [], "Sheet3": []}
    workbook.write(path, pages)  # type: ignore[arg-type]


def row(clip: str, *courses: tuple[object, object], emotion: str = "", **more: object) -> dict[str, object]:
    subject, code, _ = clip.split("_")
    cells: dict[str, object] = {"Subject": int(subject[1:]), "Filename": clip, "FirstF": 1000, "LastF": 1999}
    for order, (onset, offset) in enumerate(courses, start=1):
        which = "" if order == 1 else str(order)
        cells |= {f"Onset{which}F": onset, f"Offset{which}F": offset}
    return {**cells, "Emotion": emotion or smic.EMOTIONS[code], **more}


def told(found: Release) -> list[tuple[str, str]]:
    return [(f.severity, f.where) for f in found.findings]


def test_the_layout_writes_colour_bitmaps_with_six_digits_or_more(tmp_path: Path) -> None:
    entry = ENTRIES[0]
    frames = np.arange(2 * 12 * 16, dtype=np.uint8).reshape(2, 12, 16)
    smic_layout.write_frames(tmp_path, entry, frames)
    written = sorted((tmp_path / smic_layout.clip_folder(entry)).iterdir())
    assert [path.name for path in written] == [f"image{entry.onset + k:06d}.bmp" for k in range(2)]
    for path, frame in zip(written, frames, strict=True):
        data = path.read_bytes()
        assert (data[:2], int.from_bytes(data[28:30], "little")) == (b"BM", 24), "bits per pixel in the file's header"
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded, np.repeat(frame[:, :, None], 3, axis=2))
    assert smic_layout.frame_name(36_237) == "image036237.bmp"
    assert smic_layout.frame_name(17_581_039) == "image17581039.bmp"


@pytest.mark.parametrize(("folder", "name", "fps"), [
    ("SMIC_all_raw/SMIC_all_raw/HS/s5", "image{:06d}.bmp", 100),
    ("SMIC_all_cropped/HS/s05", "reg_image{:06d}.bmp", 100),
    ("SMIC_all_cropped/VIS/s5", "reg_{:05d}.bmp", 25),
    ("SMIC_all_raw/NIR/S5", "image{:06d}.bmp", 25),
    ("hs/S05", "image{:06d}.BMP", 100),
])  # fmt: skip
def test_forms_cameras_nestings_and_paddings(tmp_path: Path, folder: str, name: str, fps: float) -> None:
    clip = f"{folder}/micro/Positive/S05_po_1"
    touch(tmp_path / clip, 998, 1012, name)
    found = smic.read(tmp_path)
    assert found.findings == []
    assert found.samples == [
        Sample(id="s5_po_01", subject="s5", clip=clip, onset=998, offset=1012, fps=fps, emotion="positive")
    ]


def test_the_raw_clips_of_the_fast_camera_come_first_and_the_others_are_named(tmp_path: Path) -> None:
    for number, place in enumerate(
        ("all_cropped/NIR", "all_cropped/VIS", "all_cropped/HS", "all_raw/VIS", "all_raw/HS")
    ):
        touch(tmp_path / f"SMIC_{place}/s1/micro/negative/s1_ne_01", 100 * number, 100 * number + 20)
    touch(tmp_path / "SMIC-E_raw image/HS_long/SMIC-HS-E/s01/s1_ne_01", 0, 500, "image{:06d}.jpg")
    found = smic.read(tmp_path)
    assert [sample.onset for sample in found.samples] == [400]
    assert told(found) == [("note", "SMIC_all_raw/HS")]
    assert "SMIC_all_cropped/VIS" in found.findings[0].message

    found = smic.read(tmp_path / "SMIC_all_cropped/VIS")
    assert [(s.onset, s.fps, s.clip) for s in found.samples] == [(100, 25, "s1/micro/negative/s1_ne_01")]
    assert found.findings == []
    assert [s.onset for s in smic.read(tmp_path / "SMIC_all_cropped").samples] == [200]


def test_a_camera_that_no_folder_names_is_a_warning(tmp_path: Path) -> None:
    touch(tmp_path / "a/b/c/d/s1/negative/s1_ne_01", 10, 30)
    found = smic.read(tmp_path / "a/b/c/d")
    assert [s.fps for s in found.samples] == [100]
    assert told(found) == [("warning", ".")]


LONG = "SMIC-E_raw image/HS_long/SMIC-HS-E"


@pytest.fixture
def long_release(tmp_path: Path) -> Path:
    """Folders as in the long form, which folds s3_ne_03 into s3_ne_02 and s4_ne_05 and s4_ne_06 into s4_ne_04."""
    for clip in ("s1_ne_01", "s3_ne_02", "s4_ne_04", "s18_sur_03", "s20_ne_06"):
        subject = f"s{int(clip[1:].split('_')[0]):02d}"
        touch(tmp_path / LONG / subject / clip, 1000, 1999, "image{:06d}.jpg")
    return tmp_path


MERGED_ROWS = [
    row("s1_ne_01", (1100, 1130)),
    row("s3_ne_02", (1200, 1230), (1400, 1430)),
    row("s4_ne_04", (1100, 1120), (1300, 1320), (1500, 1520)),
    row("s18_sur_03", (1100, 1140), emotion="negative"),
    row("s20_ne_06", (1600, 1640)),
]
SEPARATE_ROWS = [
    row("s1_ne_01", (1100, 1130)),
    row("s3_ne_02", (1200, 1230)),
    row("s3_ne_03", (1400, 1430)),
    row("s4_ne_04", (1100, 1120)),
    row("s4_ne_05", (1300, 1320)),
    row("s4_ne_06", (1500, 1520)),
    row("s18_sur_03", (1100, 1140), emotion="negative"),
    row("s20_ne_06", (1600, 1640)),
]


def course(found: Release) -> dict[str, tuple[int, int, str, str]]:
    return {s.id: (s.onset, s.offset, s.emotion, s.clip.removeprefix(f"{LONG}/")) for s in found.samples}


EXPECTED = {
    "s1_ne_01": (1100, 1130, "negative", "s01/s1_ne_01"),
    "s3_ne_02": (1200, 1230, "negative", "s03/s3_ne_02"),
    "s3_ne_03": (1400, 1430, "negative", "s03/s3_ne_02"),
    "s4_ne_04": (1100, 1120, "negative", "s04/s4_ne_04"),
    "s4_ne_05": (1300, 1320, "negative", "s04/s4_ne_04"),
    "s4_ne_06": (1500, 1520, "negative", "s04/s4_ne_04"),
    "s18_sur_03": (1100, 1140, "surprise", "s18/s18_sur_03"),
    "s20_ne_06": (1600, 1640, "negative", "s20/s20_ne_06"),
}


def test_both_editions_of_the_long_sheet_give_the_same_samples(long_release: Path) -> None:
    write_edition(long_release / LONG / ".." / FIRST_EDITION, FIRST_TITLES, SEPARATE_ROWS)
    first = smic.read(long_release)
    assert course(first) == EXPECTED
    assert told(first) == [("note", f"{FIRST_EDITION}, row {line}") for line in (4, 6, 7, 8)]

    write_edition(long_release / LONG / ".." / SECOND_EDITION, SECOND_TITLES, MERGED_ROWS)
    second = smic.read(long_release)
    assert course(second) == EXPECTED
    which, slip = second.findings
    assert (which.severity, Path(which.where).name) == ("note", SECOND_EDITION)
    assert FIRST_EDITION in which.message
    assert (slip.severity, slip.where) == ("note", f"{SECOND_EDITION}, row 5")
    assert "known slip" in slip.message


def test_what_is_odd_in_the_long_sheet_is_told(long_release: Path) -> None:
    rows = [
        row("s1_ne_01", (1100, 1130), (1100, 1130), (1990, 2010)),  # once more, and beyond the end
        row("s3_ne_02", (1200, None)),  # the value of a formula was lost
        row("s4_ne_04", (658_536, 658_560)),  # outside the clip
        row("s18_sur_03", (1100, 1140), (1300, 1320), (-118_900, 96), emotion="surprise"),  # the broken formula
        row("s3_ne_20", (1100, 1140), FirstF="MISSING <-426679"),
        row("s20_ne_06", (1600, 1640), Subject=19),
        row("s2_po_03", (1600, 1640), emotion="surprise"),
        {"Subject": "157 clips in all"},
        {"Subject": 4, "Filename": "ne_04", "OnsetF": 1100, "OffsetF": 1120, "Emotion": "negative"},
    ]
    write_edition(long_release / "SMIC-HS-E_annotation.xlsx", SECOND_TITLES, rows)
    touch(long_release / LONG / "s02/s2_po_03", 1500, 1700, "image{:06d}.jpg")
    touch(long_release / LONG / "s02/notes", 1, 2)
    found = smic.read(long_release)
    assert {s.id: (s.onset, s.offset) for s in found.samples} == {
        "s1_ne_01": (1100, 1130),
        "s18_sur_03": (1100, 1140),
        "s18_sur_03_2": (1300, 1320),
        "s2_po_03": (1600, 1640),
    }
    findings = {(f.where.removeprefix(f"{SECOND_EDITION}, "), f.severity): f.message for f in found.findings}
    assert sorted(findings) == sorted(
        [
            (f"{LONG}/s02/notes", "warning"),
            ("row 2", "note"),
            ("row 2", "error"),
            ("row 3", "error"),
            ("row 4", "error"),
            ("row 5", "note"),
            ("row 6", "error"),
            ("row 7", "error"),
            ("row 8", "warning"),
            ("row 9", "note"),
            ("row 10", "error"),
            (f"{LONG}/s20/s20_ne_06", "warning"),
        ]
    )
    assert "repeats another" in findings["row 2", "note"]
    assert "1990..2010 is no range of frames within 1000..1999" in findings["row 2", "error"]
    assert "OffsetF is empty" in findings["row 3", "error"]
    assert "658536..658560" in findings["row 4", "error"]
    assert "broken formula" in findings["row 5", "note"]
    assert "no folder" in findings["row 6", "error"]
    assert "not a clip of subject 19" in findings["row 7", "error"]
    assert "positive by its name, surprise by the sheet" in findings["row 8", "warning"]


def test_what_cannot_be_read_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MepipeError, match="No folder at"):
        smic.read(tmp_path / "nowhere")
    with pytest.raises(MepipeError, match=r"No subjects' folders \(s1, s2, ... or s01\)"):
        smic.read(tmp_path)
    touch(tmp_path / LONG / "s01/s1_ne_01", 1, 100)
    with pytest.raises(MepipeError, match=r"No annotation sheet SMIC-HS-E_annotation\.xls"):
        smic.read(tmp_path)
