"""`mepipe report` as a command: what it writes where, and what it refuses."""

import csv
import subprocess
import sys

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from mepipe.cli import cli
from mepipe.errors import MepipeError, UsageError
from tests.report.made import write_run
from tests.view import known_store

WHO = {"a": "s1", "b": "s1", "c": "s2", "d": "s2"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("work")
    known_store.write(root / "cache" / "features.zarr", {name: {} for name in WHO})
    for name in ("one", "two"):
        write_run(root / "runs" / name, [dict.fromkeys(WHO, 1)], true=dict.fromkeys(WHO, 0) | {"d": 1}, subjects=WHO)
    return root


@pytest.fixture(autouse=True)
def _here(place, monkeypatch):
    monkeypatch.chdir(place)


def report(*arguments):
    return CliRunner().invoke(cli, ["report", *arguments], catch_exceptions=False)


def test_a_run_by_its_name_has_its_report_beside_it(place):
    result = report("one")
    assert result.stdout == "report    runs/one/report.html\n"
    assert "<!doctype html>" in (place / "runs" / "one" / "report.html").read_text()[:200]


def test_several_runs_and_the_tables(place):
    result = report("one", "runs/two", "-o", "new/all.html", "--latex", "new/all.tex", "--csv", "new/all.csv")
    assert result.stdout.splitlines() == ["report    new/all.html", "LaTeX     new/all.tex", "CSV       new/all.csv"]
    assert "2 runs compared" in (place / "new" / "all.html").read_text()
    rows = list(csv.DictReader((place / "new" / "all.csv").open(encoding="utf-8")))
    assert {r["run"] for r in rows} == {"comparison", "one", "two"}
    assert "\\toprule" in (place / "new" / "all.tex").read_text()


def test_a_store_that_is_named_has_to_be_there(place):
    with pytest.raises(UsageError, match="No store at"):
        report("one", "--store", "nowhere")
    assert report("one", "-o", "x.html").exit_code == 0
    (place / "cache").rename(place / "away")
    try:
        assert report("one", "-o", "x.html").exit_code == 0
        assert "Name another with --store" in (place / "x.html").read_text()
    finally:
        (place / "away").rename(place / "cache")


def test_what_is_no_run_is_refused():
    with pytest.raises(UsageError, match="runs/three: is no run folder"):
        report("three")
    assert issubclass(UsageError, MepipeError)
    assert report().exit_code == 2


def test_the_command_modules_import_nothing_heavy():
    code = (
        "import sys, mepipe.cli.report, mepipe.cli.export_video; "
        "print([m for m in ('torch', 'numpy', 'jinja2', 'matplotlib', 'PIL', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
