"""What is asked of accuracy holds on a few clips of each kind, measured by the benchmarks themselves."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["flow", "align", "eulerian", "rank_pool", "apex", "qc"])
def test_accuracy_is_as_asked(subject):
    report = importlib.import_module(f"benchmarks.accuracy_{subject}").run(quick=True)
    missed = {a.what: f"{a.measured:.3g}, and {a.sign} {a.bound:g} is asked" for a in report.asked if not a.met}
    assert report.asked
    assert not missed


@pytest.mark.slow
def test_the_device_path_is_as_near_as_asked_where_the_processors_results_are_kept(tmp_path):
    from benchmarks import gpu

    gpu.save(tmp_path / "kept.npz", quick=True)
    report = gpu.run(quick=True, against=tmp_path / "kept.npz")
    assert len(report.asked) == 9
    assert not [a.what for a in report.asked if not a.met]


@pytest.mark.slow
def test_every_backend_has_a_row_and_only_those_with_weights_figures(tmp_path, monkeypatch):
    from benchmarks import flow_backends
    from mepipe.stages.flow import FlowParams

    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    rows = {row[0]: row[1:] for row in flow_backends.run(quick=True).tables[0].rows}
    networks = FlowParams.model_json_schema()["properties"]["backend"]["enum"][1:]
    assert {name for name in rows if "no weights here" in rows[name]} == set(networks)
    assert all(isinstance(rows["tvl1, micro"][i], float) for i in range(7))


def test_a_document_keeps_what_other_subjects_measured(tmp_path):
    from benchmarks import tables

    path = tmp_path / "docs" / "benchmarks.md"
    for subject, text in (("speed", "old\n"), ("whole", "kept\n"), ("speed", "new\n")):
        tables.save(path, subject, text, ["speed", "whole"])
    written = path.read_text(encoding="utf-8")
    assert "old" not in written
    assert written.index("new") < written.index("kept")


def test_a_table_says_what_is_met():
    from benchmarks.tables import Asked, Report, Table, markdown

    table = Table("Times", ("what", "ms"), [("a", 1234.5), ("b", 0.01234)])
    text = markdown(Report("Speed", "How.", [table], [Asked("gain", 0.7, ">=", 0.75), Asked("error", 0.3, "<=", 0.3)]))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert ["gain", ">= 0.75", "0.7", "**no**"] in rows
    assert ["error", "<= 0.3", "0.3", "yes"] in rows
    assert ["a", "1234"] in rows
    assert ["b", "0.0123"] in rows
