"""Reading annotation sheets: the same rows whatever a spreadsheet program or a detour through CSV made of them."""

import csv
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from mepipe.datasets import sheets
from mepipe.datasets.demo import workbook
from mepipe.datasets.findings import Release
from mepipe.errors import MepipeError

NEEDED = ("Subject", "Filename", "Onset")
KNOWN = ("AU",)
ROWS = [("006", "a", 12, 4), ("7", "b", 13.0, "4+7 ")]


def write(path, rows, pages=()):
    workbook.write(path, {**dict(pages), "data": rows})
    return path


def read(path, release=None, page=None):
    return sheets.read(path, NEEDED, KNOWN, Release() if release is None else release, page)


def texts(table):
    return [[row.text(title) for title in (*NEEDED, *KNOWN)] for row in table.rows]


EXPECTED = [["006", "a", "12", "4"], ["7", "b", "13", "4+7"]]


def test_below_free_text_and_among_blank_columns_and_rows(tmp_path):
    head = [("About the Subject",), (), ("Subject", None, " filename ", "Onset", "", "au")]
    rows = [(s, None, f, o, None, a) for s, f, o, a in ROWS]
    release = Release()
    table = read(write(tmp_path / "s.xlsx", [*head, rows[0], (None,), rows[1], (" ", None)]), release)
    assert texts(table) == EXPECTED
    assert [row.where for row in table.rows] == ["s.xlsx, row 4", "s.xlsx, row 6"]
    assert release.findings == []


def test_from_csv_with_a_byte_order_mark(tmp_path):
    with (tmp_path / "s.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([(*NEEDED, *KNOWN), *ROWS])
    assert texts(read(tmp_path / "s.csv")) == EXPECTED


def test_from_an_old_excel_workbook():
    path = Path(__file__).parent / "CASME2_label_Ver_2.xls"
    table = sheets.read(path, ("Subject", "ApexFrame"), ("Filename", "OnsetFrame", "Action Units"), Release())
    first, second = table.rows
    assert (first.text("Subject"), first.number("ApexFrame"), first.text("Action Units")) == ("1", 59, "12")
    assert second.whole_or_none("ApexFrame") is None


@pytest.mark.parametrize(("page", "expected"), [("data", "a"), ("other", "x"), ("no such page", "x"), (None, "x")])
def test_the_page_that_is_asked_for_or_else_the_first_with_the_header(tmp_path, page, expected):
    pages = {"empty": [], "other": [(*NEEDED, *KNOWN), ("1", "x", 1, 1)]}
    table = read(write(tmp_path / "s.xlsx", [(*NEEDED, *KNOWN), *ROWS], pages.items()), page=page)
    assert table.rows[0].text("Filename") == expected


def test_of_a_formula_the_value_is_read(tmp_path):
    cells = [(*NEEDED, *KNOWN), ("1", workbook.Formula('="a"', "a"), workbook.Formula("=5+7", 12), None)]
    (row,) = read(write(tmp_path / "s.xlsx", cells)).rows
    assert row.number("Onset") == 12
    assert row.text("Filename") == "a"


def test_a_formula_that_was_never_computed_is_an_empty_cell(tmp_path):
    book = openpyxl.Workbook()
    for cells in ((*NEEDED, *KNOWN), ("1", "a", "=5+7", 4)):
        book.active.append(cells)
    book.save(tmp_path / "s.xlsx")
    (row,) = read(tmp_path / "s.xlsx").rows
    with pytest.raises(MepipeError, match="Onset is '', not a whole number"):
        row.number("Onset")


@pytest.mark.parametrize("bad", ["", "/", "-5", "12.5", 12.5, "12a", "1e3", True, date(2024, 5, 4), "1" * 16, "²"])
def test_what_is_no_whole_number_is_named(tmp_path, bad):
    (row,) = read(write(tmp_path / "s.xlsx", [(*NEEDED, *KNOWN), ("1", "a", bad, 4)])).rows
    with pytest.raises(MepipeError, match=r"Onset is .*not a whole number\. Correct this row"):
        row.number("Onset")


@pytest.mark.parametrize(("cell", "value"), [("/", None), ("", None), (" - ", None), ("NaN", None), ("12", 12), (0, 0)])
def test_a_cell_may_stand_for_nothing(tmp_path, cell, value):
    (row,) = read(write(tmp_path / "s.xlsx", [(*NEEDED, *KNOWN), ("1", "a", 1, cell)])).rows
    assert row.whole_or_none("AU") == value
    assert row.whole_or_none("no such column") is None


def test_an_empty_cell_that_must_be_filled_is_named(tmp_path):
    (row,) = read(write(tmp_path / "s.xlsx", [(*NEEDED, *KNOWN), ("1", "  ", 1, 4)])).rows
    with pytest.raises(MepipeError, match="Filename is empty"):
        row.filled("Filename")


def test_a_missing_column_is_an_error_with_the_nearest_title(tmp_path):
    release = Release()
    table = read(write(tmp_path / "s.xlsx", [("Subject", "Filename", "Onsets", "AU"), *ROWS]), release)
    assert table.rows == []
    assert [(f.severity, f.where) for f in release.findings] == [
        ("error", "s.xlsx, row 1"),
        ("warning", "s.xlsx, row 1"),
    ]
    assert "no column 'Onset'" in release.findings[0].message
    assert "Did you mean 'Onsets'" in release.findings[0].message


def test_of_two_columns_of_one_title_the_first_is_read(tmp_path):
    release = Release()
    table = read(write(tmp_path / "s.xlsx", [("Subject", "Filename", "Onset", "onset"), *ROWS]), release)
    assert table.rows[0].number("Onset") == 12
    assert [f.severity for f in release.findings] == ["warning"]


def test_what_has_no_header_or_is_no_sheet_says_so(tmp_path):
    with pytest.raises(MepipeError, match="no header: none of the first 30 rows"):
        read(write(tmp_path / "s.xlsx", [("Proband", "Clip"), ("1", "a")]))
    deep = [(None,)] * 30 + [(*NEEDED, *KNOWN), *ROWS]
    with pytest.raises(MepipeError, match="no header"):
        read(write(tmp_path / "s.xlsx", deep))
    for name, content in (
        ("s.xlsx", b"<html>"),
        ("s.xls", b"\xd0\xcf\x11\xe0"),
        ("s.csv", b"\xff\xfe\x00"),
        ("t.ods", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MepipeError, match=f"{name}: cannot be read"):
            read(tmp_path / name)


def test_a_stray_cell_in_the_last_corner_fills_no_memory(tmp_path):
    book = openpyxl.Workbook()
    book.active.append((*NEEDED, *KNOWN))
    book.active["XFD1048576"] = " "
    book.save(tmp_path / "s.xlsx")
    with pytest.raises(MepipeError, match=r"s\.xlsx: cannot be read as a spreadsheet \(.+\)"):
        read(tmp_path / "s.xlsx")


def test_what_makes_the_reader_end_its_process_is_an_error(tmp_path):
    content = bytearray((Path(__file__).parent / "CASME2_label_Ver_2.xls").read_bytes())
    content[1701] = 205  # in the number of the last column
    (tmp_path / "s.xls").write_bytes(content)
    with pytest.raises(MepipeError, match=r"s\.xls: cannot be read as a spreadsheet \(.+\)"):
        read(tmp_path / "s.xls")


class TestFind:
    def found(self, root, patterns=("*v2*", "*v1*"), places=(".", "sub", "*", "..")):
        release = Release()
        path = sheets.find(root, patterns, places, release)
        return path.relative_to(root.parent).as_posix(), [(f.severity, f.where) for f in release.findings]

    def test_the_first_pattern_wins_then_the_first_place(self, tmp_path):
        root = tmp_path / "root"
        (root / "sub").mkdir(parents=True)
        (tmp_path / "a_v2.xlsx").touch()
        assert self.found(root) == ("a_v2.xlsx", [])
        (root / "old_v1.xls").touch()
        assert self.found(root) == ("a_v2.xlsx", [("note", str(tmp_path / "a_v2.xlsx"))])
        (root / "sub" / "B_V2.XLSX").touch()
        assert self.found(root) == ("root/sub/B_V2.XLSX", [("note", "sub/B_V2.XLSX")])

    def test_a_sheet_that_fits_several_patterns_is_counted_by_the_first(self, tmp_path):
        for name in ("coding-2014.xlsx", "coding-2019.xlsx"):
            (tmp_path / name).touch()
        found, said = self.found(tmp_path, ("coding-2019*", "coding*"), (".",))
        assert found.endswith("coding-2019.xlsx")
        assert said == [("note", "coding-2019.xlsx")]

    def test_what_is_hidden_open_or_no_sheet_is_passed_over(self, tmp_path):
        for name in ("~$a_v2.xlsx", ".a_v2.xlsx", "a_v2.pdf", "a_v2.xlsx.part"):
            (tmp_path / name).touch()
        (tmp_path / "b_v2.xlsx").mkdir()
        with pytest.raises(MepipeError, match=r"No annotation sheet \*v2\* or \*v1\* in .* \(looked into: \., sub"):
            self.found(tmp_path)

    def test_a_link_to_the_same_sheet_is_no_second_one(self, tmp_path):
        root = tmp_path / "root"
        (root / "sub").mkdir(parents=True)
        (root / "a_v2.csv").touch()
        (root / "sub" / "a_v2.csv").symlink_to(root / "a_v2.csv")
        assert self.found(root) == ("root/a_v2.csv", [])
