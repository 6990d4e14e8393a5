"""The SAMM adapter, on look-alike releases with planted faults. It never decodes, so frames are empty files here."""

import json
from pathlib import Path

import openpyxl
import pytest

from mepipe.datasets import adapters, samm
from mepipe.datasets.demo import plan, samm_layout
from mepipe.errors import MepipeError, UsageError

ENTRIES = plan.entries(3, 4, seed=1)
FIRST_ROW = 15


def touch(root: Path, entries=ENTRIES) -> None:
    for entry in entries:
        folder = root / samm_layout.clip_folder(entry)
        folder.mkdir(parents=True)
        for number in range(entry.onset, entry.offset + 1):
            (folder / f"{entry.subject}_{number:0{entry.digits}d}.jpg").touch()


@pytest.fixture
def release(tmp_path):
    touch(tmp_path)
    samm_layout.write_sheets(tmp_path, ENTRIES)
    return tmp_path


def edit(root: Path, changes: dict[str, object]) -> None:
    book = openpyxl.load_workbook(root / samm_layout.SHEET)
    for cell, value in changes.items():
        book["MICRO_ONLY"][cell] = value
    book.save(root / samm_layout.SHEET)


def rewrite(root: Path, rows: list[list[object]]) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(root / samm_layout.SHEET)


def errors(found) -> dict[str, str]:
    return {f.where: f.message for f in found.findings if f.severity == "error"}


def test_bad_rows_are_named_and_the_others_go_on(release):
    names = [e.name for e in ENTRIES]
    (release / f"SAMM/{ENTRIES[4].subject}/{names[4]}").rename(release / "gone")
    frames = sorted((release / f"SAMM/{ENTRIES[5].subject}/{names[5]}").iterdir())
    for index in (7, 9, 10, 11):
        frames[index].unlink()
    edit(
        release,
        {
            f"D{FIRST_ROW + 1}": ENTRIES[1].offset + 1,
            f"D{FIRST_ROW + 2}": "12O",
            f"B{FIRST_ROW + 3}": None,
            f"B{FIRST_ROW + 7}": names[6],
            f"A{FIRST_ROW + 7}": ENTRIES[6].subject,
            f"A{FIRST_ROW + 8}": "../..",
            f"B{FIRST_ROW + 9}": "/etc",
        },
    )
    found = samm.read(release)
    told = {int(where.rsplit(" ", 1)[1]) - FIRST_ROW: message for where, message in errors(found).items()}
    assert sorted(told) == [1, 2, 3, 4, 5, 7, 8, 9]
    assert all(where.startswith("SAMM_Micro_FACS_Codes_v2.xlsx, row ") for where in errors(found))
    assert "lies after offset" in told[1]
    assert "Onset Frame is '12O'" in told[2]
    assert "Filename is empty" in told[3]
    assert f"no folder {names[4]!r}" in told[4]
    assert f"4 of frames {ENTRIES[5].onset}..{ENTRIES[5].offset}" in told[5]
    first = ENTRIES[5].onset
    assert f"missing: {first + 7}, {first + 9}-{first + 11};" in told[5]
    assert f"stands in SAMM_Micro_FACS_Codes_v2.xlsx, row {FIRST_ROW + 6} too" in told[7]
    assert "Subject is '../..', not one such as 001" in told[8]
    assert "no folder '/etc'" in told[9]
    assert [s.id for s in found.samples] == [names[0], names[6], *names[10:]]


def test_a_subject_written_in_many_ways_is_one(release):
    edit(
        release, {f"A{FIRST_ROW}": 6, f"A{FIRST_ROW + 1}": "6", f"A{FIRST_ROW + 2}": "0006 ", f"A{FIRST_ROW + 3}": 6.0}
    )
    found = samm.read(release)
    assert found.findings == []
    assert {s.subject for s in found.samples} == {e.subject for e in ENTRIES}


def test_a_folder_without_a_row_is_reported(release):
    extra = release / "SAMM/006/006_9_9"
    extra.mkdir()
    found = samm.read(release)
    assert [(f.severity, f.where) for f in found.findings] == [("warning", "SAMM/006/006_9_9")]
    assert len(found.samples) == len(ENTRIES)


def test_an_unknown_emotion_is_a_warning(release):
    edit(release, {f"J{FIRST_ROW}": " Others "})
    found = samm.read(release)
    assert found.samples[0].emotion == "Others"
    assert [f.severity for f in found.findings] == ["warning"]
    assert "'Others' is none of Anger" in found.findings[0].message


def test_a_renamed_column_is_an_error_that_says_which(release):
    edit(release, {"D14": "OnsetFrame"})
    found = samm.read(release)
    assert found.samples == []
    assert [f.severity for f in found.findings] == ["error", "warning"]
    assert "no column 'Onset Frame'" in found.findings[0].message
    assert "'OnsetFrame'" in found.findings[0].message
    assert found.findings[0].where == "SAMM_Micro_FACS_Codes_v2.xlsx, row 14"


def test_a_copy_without_preamble_and_with_numeric_subjects_reads_the_same(release):
    official = samm.read(release).samples
    rows = [[int(e.subject), e.name, e.inducement, float(e.onset), e.apex, e.offset, None, None] for e in ENTRIES]
    rows = [[*r, e.aus, f" {e.emotion} ", e.objective] for r, e in zip(rows, ENTRIES, strict=True)]
    rewrite(release, [list(samm_layout.COLUMNS[:11]), *rows, [None] * 11])
    assert samm.read(release).samples == official


@pytest.mark.parametrize(("clip", "onset", "bad", "offset", "good"), [
    ("028_4_1", 1071, 1143, 1134, 1105),
    ("032_3_1", 4896, 1930, 4970, 4930),
    ("032_3_2", 5126, 5127, 5200, 5127),
])  # fmt: skip
@pytest.mark.parametrize("mended", [False, True])
def test_the_known_wrong_apexes_are_corrected_where_they_are_wrong(tmp_path, clip, onset, bad, offset, good, mended):
    folder = tmp_path / "SAMM" / clip[:3] / clip
    folder.mkdir(parents=True)
    for number in range(onset, offset + 1):
        (folder / f"{clip[:3]}_{number}.jpg").touch()
    apex = onset + 3 if mended else bad
    rewrite(tmp_path, [list(samm_layout.COLUMNS[:10]), [clip[:3], clip, 4, onset, apex, offset, 0, "", 4, "Anger"]])
    found = samm.read(tmp_path)
    (sample,) = found.samples
    assert sample.apex == (onset + 3 if mended else good)
    assert [f.severity for f in found.findings] == ([] if mended else ["note"])
    assert (str(bad) in sample.note) == (not mended)


def test_more_frames_than_the_expression_and_any_padding_are_fine(release):
    entry = ENTRIES[0]
    folder = release / samm_layout.clip_folder(entry)
    (folder / f"{entry.subject}_{entry.onset - 1:07d}.jpg").touch()
    (folder / "Thumbs.db").touch()
    assert samm.read(release).findings == []


@pytest.mark.parametrize(("tree", "sheet", "root", "prefix"), [
    ("SAMM/SAMM", ".", ".", "SAMM/SAMM"),
    ("SAMM/SAMM", "SAMM", ".", "SAMM/SAMM"),
    ("SAMM", ".", "SAMM", ""),
    ("SAMM", "SAMM", "SAMM", ""),
    ("SAMM_CROP", "SAMM_CROP", ".", "SAMM_CROP"),
])  # fmt: skip
def test_the_usual_nestings_are_found(tmp_path, tree, sheet, root, prefix):
    touch(tmp_path / "flat", ENTRIES[:1])
    (tmp_path / tree).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "flat/SAMM").rename(tmp_path / tree)
    samm_layout.write_sheets(tmp_path / sheet, ENTRIES[:1])
    (tmp_path / sheet / f"~${samm_layout.SHEET}").touch()  # a spreadsheet program has it open
    found = samm.read(tmp_path / root)
    assert found.findings == []
    assert found.samples[0].clip == f"{prefix}/006/{ENTRIES[0].name}".lstrip("/")


def test_what_cannot_be_read_at_all_says_what_to_do(tmp_path):
    with pytest.raises(MepipeError, match="No folder at"):
        samm.read(tmp_path / "nowhere")
    with pytest.raises(MepipeError, match="No subjects' folders"):
        samm.read(tmp_path)
    (tmp_path / "SAMM/006").mkdir(parents=True)
    with pytest.raises(MepipeError, match=r"No annotation sheet .* in "):
        samm.read(tmp_path)
    (tmp_path / samm_layout.SHEET).write_text("<html>please log in</html>")
    with pytest.raises(MepipeError, match="cannot be read as a spreadsheet"):
        samm.read(tmp_path)
    rewrite(tmp_path, [["Probant", "Filename"], ["006", "006_1_2"]])
    with pytest.raises(MepipeError, match="no header"):
        samm.read(tmp_path)


def test_the_demo_is_read_by_the_adapter_of_its_layout(release):
    (release / "demo.json").write_text(json.dumps({"layout": "samm"}))
    assert adapters.load("demo").read(release).samples == samm.read(release).samples
    (release / "demo.json").write_text(json.dumps({"layout": "casme9"}))
    with pytest.raises(MepipeError, match="layout 'casme9' is unknown"):
        adapters.load("demo").read(release)
    (release / "demo.json").unlink()
    with pytest.raises(MepipeError, match="is not a demo"):
        adapters.load("demo").read(release)


def test_an_unknown_database_gets_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean 'samm'"):
        adapters.load("SAM")
    for name in adapters.ADAPTERS:
        assert adapters.load(name).LICENCE
