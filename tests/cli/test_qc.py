"""mepipe qc, as a person types it, on a store of clips without fault and limits that some of them exceed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from mepipe import store as stores
from mepipe.cli import cli, qc
from mepipe.errors import UsageError
from mepipe.qc import gallery, judge, sources, survey
from tests.remotes import Sshd, sshd  # noqa: F401


@pytest.fixture
def place(workplace: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of seven clips, ours to write into."""
    folder = tmp_path / "features.zarr"
    shutil.copytree(workplace["MEPIPE_STORE"], folder, copy_function=os.link)
    shutil.rmtree(folder / "qc", ignore_errors=True)
    monkeypatch.setenv("MEPIPE_STORE", str(folder))
    return folder


@pytest.fixture
def strict_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that the livelier half of the clips exceeds."""
    monkeypatch.setitem(judge.LIMITS, "exploding", replace(judge.LIMITS["exploding"], limit=1.5))
    monkeypatch.setitem(judge.LIMITS, "rigid", replace(judge.LIMITS["rigid"], limit=0.03))


def run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["qc", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def flagged(report: dict[str, Any]) -> list[str]:
    return [sample for sample, verdict in report["samples"].items() if verdict["flags"]]


def test_a_store_without_fault_has_nothing_to_say(place: Path, tmp_path: Path) -> None:
    output = run("--strict", "--all", "--gallery", tmp_path / "none.html", "-j", 1)
    assert "demo: 0 of 7 samples are suspicious." in output
    assert f"Report: {place}/qc/demo.json" in output
    assert len([line for line in output.splitlines() if line.endswith("  -")]) == 7
    assert "0 of 7 samples are suspicious" in (tmp_path / "none.html").read_text()


@pytest.mark.usefixtures("strict_limits")
def test_one_report_is_printed_kept_and_shown_on_a_page(place: Path, tmp_path: Path) -> None:
    report = json.loads(run("--json", "--strict", "--gallery", tmp_path / "page.html", "-j", 1, status=1))
    assert json.loads((place / "qc" / "demo.json").read_text()) == report
    assert report["dataset"] == "demo"
    assert report["recipe"] == "features"
    assert report["snapshot"] == stores.open(place).snapshot("demo")
    scores = [verdict["score"] for verdict in report["samples"].values()]
    assert scores == sorted(scores, reverse=True)
    assert 0 < len(flagged(report)) < 7
    for verdict in report["samples"].values():
        values, found = verdict["values"], {flag["flag"]: flag for flag in verdict["flags"]}
        assert ("exploding" in found) == (values["exploding"] > 1.5)
        for name, flag in found.items():
            assert flag["value"] == values[name]
            assert flag["limit"] == report["thresholds"][name]["limit"]
    check_page(Page((tmp_path / "page.html").read_text(encoding="utf-8")), report)


@pytest.mark.usefixtures("strict_limits")
def test_processes_measure_the_same_and_the_table_is_in_the_reports_order(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = json.loads(run("--json", "-j", 1))
    monkeypatch.setattr(survey, "_FEW", 1)
    table = run("-j", 2)
    assert json.loads((place / "qc" / "demo.json").read_text()) == alone
    rows = [line.split()[1] for line in table.splitlines()[1:] if line[:5].strip().replace(".", "").isdigit()]
    assert rows == flagged(alone)


def test_what_a_recipe_does_not_store_is_skipped_and_said_so(place: Path) -> None:
    opened = stores.open(place)
    ref = opened.refs("demo")["features"]
    kept = {node: ref.nodes[node] for node in ("frames", "landmarks")}
    opened.set_ref("demo", "less", ref.snapshot, kept)
    output = run("-r", "less", "--all", "-j", 1)
    assert "flow: not stored by this recipe; not measured: apex, blink" in output
    report = json.loads((place / "qc" / "demo.json").read_text())
    assert report["recipe"] == "less"
    measured = set(next(iter(report["samples"].values()))["values"])
    assert {"blur", "frozen", "illumination", "asymmetry"} <= measured
    assert not {"apex", "blink", "turn", "flat"} & measured


def test_a_damaged_sample_is_named_and_the_others_are_measured(place: Path, tmp_path: Path) -> None:
    flow = stores.open(place).feature("demo/flow.tvl1")
    chunk = place / flow.chunks(2)[0]
    content = bytearray(chunk.read_bytes())
    content[1000] ^= 255
    chunk.unlink()  # a link, whose other name others read
    chunk.write_bytes(content)
    report = json.loads(run("--json", "--gallery", tmp_path / "page.html", "-j", 1))
    assert flagged(report) == [flow.ids[2]]
    (flag,) = report["samples"][flow.ids[2]]["flags"]
    assert flag["flag"] == "failed"
    assert "damaged" in flag["why"]
    assert flag["why"] in Page((tmp_path / "page.html").read_text(encoding="utf-8")).text


def test_where_the_report_cannot_lie_beside_the_store_it_is_not_kept(place: Path, tmp_path: Path) -> None:
    opened, report = stores.open(place), {"dataset": "demo", "samples": {}}
    kept = place / "qc" / "demo.json"
    assert qc._keep(opened, report, None) == f"Report: {kept}"
    kept.unlink()
    kept.write_text("{")  # half a report
    qc._keep(opened, report, None)
    assert json.loads(kept.read_text()) == report
    assert sorted(file.name for file in kept.parent.iterdir()) == ["demo.json", "zarr.json"]
    shutil.rmtree(place / "qc")
    (place / "qc").write_text("in the way")
    assert qc._keep(opened, report, None).startswith("Report: not kept")
    assert qc._keep(opened, report, tmp_path / "new" / "report.json") == f"Report: {tmp_path}/new/report.json"
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == report


@pytest.mark.slow
def test_a_store_elsewhere_is_read_and_not_written(place: Path, sshd: Sshd) -> None:  # noqa: F811
    output = run("--store", sshd.url(place), "-j", 1)
    assert "0 of 7 samples are suspicious" in output
    assert "not a folder; say --output FILE" in output
    assert not (place / "qc").exists()


class Page(HTMLParser):
    """What a page shows and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def check_page(page: Page, report: dict[str, Any]) -> None:
    """It shows every suspicious sample, and needs nothing but itself."""
    assert page.tags.count("section") == page.tags.count("img") == len(flagged(report))
    assert all(address.startswith("data:image/") for address in page.loads)
    assert not {"script", "link", "iframe"} & set(page.tags)
    for sample in flagged(report):
        assert all(flag["why"] in page.text for flag in report["samples"][sample]["flags"])
    for about in report["thresholds"].values():
        assert about["why"] in page.text


@pytest.mark.usefixtures("strict_limits")
def test_the_picture_has_a_row_for_each_and_no_more_than_asked(place: Path, tmp_path: Path) -> None:
    report = json.loads(run("--json", "--gallery", tmp_path / "two.png", "--show", 2, "-j", 1))
    gallery.png(sources.find(stores.open(place), "demo", None), report, tmp_path / "one.png", 1)
    one, two = (imread(tmp_path / name) for name in ("one.png", "two.png"))
    assert one.shape[1] == two.shape[1] > 1200
    assert two.shape[0] - one.shape[0] > 150
    assert one[..., :3].std() > 0.1


def test_a_gallery_is_a_page_or_a_picture(place: Path) -> None:
    with pytest.raises(UsageError, match=r"\.html.*\.png"):
        run("--gallery", "page.pdf")
    assert not (place / "qc").exists()


def test_the_help_explains_every_flag() -> None:
    text = " ".join(run("--help").split())
    for name, about in judge.explained().items():
        assert f"{name} {'below' if about['below'] else 'above'} {about['limit']:g}" in text
