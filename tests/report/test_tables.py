"""Tables as LaTeX and CSV."""

import csv
import io
import re

import pytest

pytest.importorskip("torch")

from hypothesis import given
from hypothesis import strategies as st

from mepipe.report.tables import LONGEST, Cell, Table, csv_text, difference, escaped, latex, number


def table(rows=2):
    made = Table("scores", "Scores, 50 % of them", ["a_b", "UF1", "what"])
    for n in range(rows):
        made.add(f"run {n} & more", number(0.5, (0.25, 0.75)), "x^2", kind="paper" if n else "")
    return made


def test_every_line_has_as_many_cells_as_the_table_has_columns():
    lines = table(3).latex().splitlines()
    assert "\\begin{tabular}{lrl}" in lines
    body = [line for line in lines if line.endswith(r" \\")]
    assert len(body) == 4
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {2}
    assert body[1] == r"run 0 \& more & 0.500 {\scriptsize (0.250--0.750)} & x\textasciicircum{}2 \\"
    assert lines.index("\\toprule") < lines.index("\\midrule") < lines.index("\\bottomrule")
    assert lines.count("\\midrule") == 2  # below the head, and where the kind of row changes
    assert "Scores, 50 \\% of them" in "".join(lines)


def test_a_long_table_may_break_between_pages():
    assert "\\begin{longtable}{lrl}" in table(LONGEST + 1).latex()
    assert "longtable" not in table(LONGEST).latex()
    assert latex([("run", "", table())]).startswith("% \\usepackage{booktabs,longtable}")


def test_a_name_cannot_leave_its_comment():
    text = latex([("run\n\\input{x}", "b\n\\x", table())])
    assert text.splitlines()[1] == "% run \\input{x}, b \\x, scores"
    assert text.count("input") == 1


@given(st.text(alphabet='\\&%$#_{}~^[<>|"ab \n', max_size=30))
def test_nothing_in_a_cell_acts_as_latex(text):
    """After all escapes are taken away, no letter that LaTeX acts on is left, and the braces are in balance."""
    made = escaped(text)
    rest = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]|\{\[\}", "", made)
    assert not set(rest) & set("\\&%$#_{}~^[<>|\n")


def test_the_csv_has_every_number_unrounded():
    made = Table("t", "", ["class", "of", "F1", "n", "note"])
    made.add("a", "b", number(1 / 3, (0.1, 0.5)), 7, "c")
    rows = list(csv.DictReader(io.StringIO(csv_text([("r", "random", made)]))))
    assert [(r["row"], r["column"], float(r["value"])) for r in rows] == [("a, b", "F1", 1 / 3), ("a, b", "n", 7.0)]
    assert {(r["run"], r["weights"], r["table"]) for r in rows} == {("r", "random", "t")}
    assert (rows[0]["low"], rows[0]["high"], rows[1]["low"]) == ("0.1", "0.5", "")
    assert csv_text([("r", "", Table("settings", "", ["a"], result=False))]).count("\n") == 1


def test_negative_numbers_have_a_sign_as_long_as_a_plus():
    cell = difference(-0.25, (-0.5, 0.125))
    assert (cell.text, cell.interval) == ("−0.250", "−0.500 to 0.125")
    assert difference(0.25, (0.125, 0.5)).text == "+0.250"


def test_letters_are_white_where_it_is_dark():
    assert Cell("1", 1, colour="#08306b").dark
    assert not Cell("1", 1, colour="#deebf7").dark
    with pytest.raises(ValueError, match="2 cells in a table of 3 columns"):
        table().add("a", "b")
