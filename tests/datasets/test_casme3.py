"""The CAS(ME)^3 adapter, on look-alikes of both distributions. It never decodes, so frames are empty files here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe.datasets import aus, casme3
from mepipe.datasets.demo import casme3_layout, plan, workbook
from mepipe.datasets.findings import Release
from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError

ENTRIES = casme3_layout.adapt(plan.entries(5, 4, seed=1, fps=casme3_layout.FPS))
SHEET = Path(casme3_layout.SHEET).name
LONG = "part_A/data/part_A"
CLIPS = "Part_A_ME_clip/frame"


def touch(folder: Path, first: int, last: int, suffix: str = ".jpg") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, last + 1):
        (folder / f"{number}{suffix}").touch()


@pytest.fixture
def release(tmp_path: Path) -> Path:
    for entry in ENTRIES:
        touch(tmp_path / casme3_layout.clip_folder(entry), entry.onset, entry.offset)
    casme3_layout.write_sheets(tmp_path, ENTRIES)
    return tmp_path


def write_sheet(
    path: Path, rows: Sequence[Sequence[object]], titles: Sequence[str | None], page: str = "label"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    workbook.write(path, {page: [list(titles), *rows]})


def told(found: Release) -> list[tuple[str, str]]:
    return [(f.severity, f.where) for f in found.findings]


def expected(entry: plan.Entry, clip: str) -> Sample:
    return Sample(
        id=entry.name,
        subject=entry.subject,
        clip=clip,
        onset=entry.onset,
        apex=entry.apex,
        offset=entry.offset,
        fps=30,
        emotion=entry.emotion,
        aus=aus.normal(str(entry.aus)),
        objective=entry.objective,
    )


def test_the_layout_writes_colour_frames_and_16_bit_depth_where_the_release_has_it(tmp_path: Path) -> None:
    frames = np.stack([np.full((32, 48), level, np.uint8) for level in (60, 180)])
    places = set()
    for entry in ENTRIES:
        casme3_layout.write_frames(tmp_path, entry, frames)
        for k, frame in enumerate(frames):
            path = tmp_path / casme3_layout.clip_folder(entry) / f"{entry.onset + k}.jpg"
            decoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert decoded.shape == (32, 48, 3)
            np.testing.assert_allclose(decoded[:, :, 0], frame, atol=2)  # a flat picture, through JPEG
        depth = sorted((tmp_path / casme3_layout.clip_folder(entry)).parent.rglob("*.png"))
        assert cv2.imread(str(depth[0]), cv2.IMREAD_UNCHANGED).dtype == np.uint16
        places |= {path.parent.name for path in depth}
    assert "depth" in places
    assert len(places) > 1, "of some subjects the maps lie one level above"


@pytest.mark.parametrize("spelled", ["spNo.{}_{}_{}", "spNO.{}_{}_{}", "SPNO{}_{}_{}", "spNO.{}_{}_{:05d}"])
@pytest.mark.parametrize("root", [".", "Part_A_ME_clip", "Part_A_ME_clip/Part_A_ME_clip"])
def test_clips_in_folders_of_their_own(tmp_path: Path, spelled: str, root: str) -> None:
    """However the folders spell the subject, and without taking depth maps for frames."""
    inner = "" if root == "." else root
    for entry in ENTRIES:
        subject, video, onset = entry.name.removeprefix("spNO.").split("_")
        folder = spelled.format(subject, video if entry is not ENTRIES[0] else video.upper(), int(onset))
        touch(tmp_path / inner / "frame" / folder, entry.onset, entry.offset)
        touch(tmp_path / inner / "depth" / folder, entry.onset, entry.offset, ".png")
    (tmp_path / inner / "video").mkdir()
    casme3_layout.write_sheets(tmp_path, ENTRIES)
    found = casme3.read(tmp_path)
    assert found.findings == []
    assert [s.model_copy(update={"clip": ""}) for s in found.samples] == [
        expected(entry, "x").model_copy(update={"clip": ""}) for entry in ENTRIES
    ]
    assert all("/depth/" not in s.clip and s.clip.startswith(f"{inner}/frame/".lstrip("/")) for s in found.samples)


def test_of_two_distributions_clips_come_first_and_videos_fill_in(release: Path) -> None:
    one = ENTRIES[3]
    touch(release / CLIPS / one.name.replace("spNO", "spNo"), one.onset, one.offset)
    touch(release / CLIPS / "spNo.99_a_7", 7, 20)
    touch(release / "part_B/data/spNO.1/a/color", 1, 9)
    found = casme3.read(release)
    assert told(found) == [("note", CLIPS), ("warning", f"{CLIPS}/spNo.99_a_7")]
    places = [s.clip.split("/")[0] for s in found.samples]
    assert places == ["part_A"] * 3 + ["Part_A_ME_clip"] + ["part_A"] * (len(ENTRIES) - 4)


def test_a_corrected_sheet_is_taken_as_it_is(tmp_path: Path) -> None:
    rows = [
        ("spNO.149", "d", "112", "123", "140", "4", "III", "disgust"),
        ("spNO.149", "e", "112", "83", "140", "4", "III", "disgust"),  # the same numbers in another video
        ("spNO.216", "d", "2647", "2668", "2694", "4", "III", "disgust"),
        ("spNO.40", "e", "2327", "2363", "0", "4", "III", "disgust"),
    ]
    write_sheet(tmp_path / SHEET, rows, casme3_layout.COLUMNS)
    for subject, video, first, last in (
        ("spNO.149", "d", 112, 140),
        ("spNO.149", "e", 112, 140),
        ("spNO.216", "d", 2647, 2694),
        ("spNO.40", "e", 2327, 2403),
    ):
        touch(tmp_path / subject / video / "color", first, last)
    found = casme3.read(tmp_path)
    assert [(s.id, s.onset, s.apex, s.offset, bool(s.note)) for s in found.samples] == [
        ("spNO.149_d_112", 112, 123, 140, False),
        ("spNO.149_e_112", 112, None, 140, True),
        ("spNO.216_d_2647", 2647, 2668, 2694, False),
        ("spNO.40_e_2327", 2327, 2363, 2403, True),
    ]


def test_the_older_sheets_are_read_when_there_is_no_better_one(release: Path) -> None:
    official = casme3.read(release).samples
    sheet = release / casme3_layout.SHEET
    rows = [
        (e.subject, casme3_layout.VIDEOS[e.inducement - 1], e.onset, e.apex, e.offset, e.aus)
        for e in ENTRIES
    ]  # fmt: skip
    roman = [("I", "II", "III", "IV", "V", "VI", "VII")[e.objective - 1] for e in ENTRIES]

    expressions = [(*r, "Micro-expression", c) for r, c in zip(rows, roman, strict=True)]
    expressions.insert(1, (*rows[0][:2], 1, 5, 90, "12", "Macro-expression", "I"))
    titles = [*casme3_layout.COLUMNS[:6], "Expression type", "Objective class"]
    long_sheet = sheet.with_name("CAS(ME)3_part_A_v2.xlsx")
    write_sheet(long_sheet, expressions, titles, "AU+Emotion")
    found = casme3.read(release)
    assert found.samples == official
    assert told(found) == [("note", casme3_layout.SHEET)]

    sheet.unlink()
    found = casme3.read(release)
    assert told(found) == [("warning", long_sheet.name)]
    assert "names no emotions" in found.findings[0].message
    assert found.samples == [s.model_copy(update={"emotion": ""}) for s in official]

    v1 = [(*r, c, e.emotion, 7, 0.5) for r, c, e in zip(rows, roman, ENTRIES, strict=True)]
    first = sheet.with_name("cas(me)3_part_A_ME_label_JpgIndex_v1.xlsx")
    write_sheet(first, v1, [*casme3_layout.COLUMNS, None, None], "Sheet1")
    found = casme3.read(release)
    assert found.samples == official
    assert told(found) == [("note", f"part_A/annotation/{first.name}"), ("warning", first.name)]


def test_a_kind_of_expression_that_is_neither_is_an_error(release: Path) -> None:
    entry = ENTRIES[0]
    cells = (entry.subject, casme3_layout.VIDEOS[entry.inducement - 1], entry.onset, entry.apex, entry.offset, "4")
    (release / casme3_layout.SHEET).unlink()
    path = release / "annotation/CAS(ME)3_part_A_v2.xlsx"
    write_sheet(
        path,
        [(*cells, "unclear", "III", "fear")],
        [*casme3_layout.COLUMNS[:6], "Expression type", *casme3_layout.COLUMNS[6:]],
    )
    found = casme3.read(release)
    assert found.samples == []
    assert told(found) == [("error", "CAS(ME)3_part_A_v2.xlsx, row 2")]


@pytest.mark.parametrize(("written", "name"), [
    ("spNO.1", "spNO.1"), ("SpNo.001", "spNO.1"), ("spNO210", "spNO.210"), ("spno. 17", "spNO.17"),
])  # fmt: skip
def test_subjects_have_one_spelling(written: str, name: str) -> None:
    assert casme3.subject_name(written) == name


@pytest.mark.parametrize("written", ["", "1", "sub01", "spNO.", "spNO.1_a"])
def test_what_names_no_subject_is_refused(written: str) -> None:
    with pytest.raises(MepipeError, match="not of the form spNO"):
        casme3.subject_name(written)


def test_a_subject_in_two_folders_is_a_warning(release: Path) -> None:
    number = ENTRIES[0].subject.removeprefix("spNO.")
    touch(release / LONG / f"spNo{number}/a/color", 1, 9)
    found = casme3.read(release)
    assert [f.severity for f in found.findings if f.where == LONG] == ["warning"]


def test_what_cannot_be_read_at_all_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MepipeError, match="No folder at"):
        casme3.read(tmp_path / "nowhere")
    with pytest.raises(MepipeError, match=r"No subjects' folders \(spNO\.1"):
        casme3.read(tmp_path)
    touch(tmp_path / LONG / "spNO.1/a/color", 1, 9)
    with pytest.raises(MepipeError, match="No annotation sheet"):
        casme3.read(tmp_path)
    (tmp_path / SHEET).write_text("<html>please log in</html>")
    with pytest.raises(MepipeError, match="cannot be read as a spreadsheet"):
        casme3.read(tmp_path)
