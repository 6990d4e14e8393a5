"""Planted faults are found in what a recipe stores, each by its flag, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks import planted
from benchmarks.planted import Clip
from mepipe.datasets.demo import render
from tests.conftest import has_solutions, mepipe

pytestmark = pytest.mark.skipif(not has_solutions(), reason="clips are made with MediaPipe's own face mesh")

Report = dict[str, Any]
Expected = dict[str, set[str]]


def surveyed(folder: Path, made: list[Clip], recipe: str | Path = "features") -> Report:
    """The report of `mepipe qc` on these clips, extracted with a recipe."""
    manifest = planted.write(folder, made)
    where = {"MEPIPE_STORE": folder / "store.zarr", "XDG_CACHE_HOME": folder / "xdg"}
    mepipe("extract", "--manifest", manifest, "--recipe", recipe, "--workers", 2, check=False, **where)
    report: Report = json.loads(mepipe("qc", "--json", "--workers", 2, **where).stdout)
    assert json.loads((folder / "store.zarr" / "qc" / "lab.json").read_text()) == report
    return report


def flags(report: Report) -> Expected:
    return {sample: {flag["flag"] for flag in verdict["flags"]} for sample, verdict in report["samples"].items()}


def by_flag(report: Report, flag: str) -> dict[str, dict[str, Any]]:
    return {s: f for s, verdict in report["samples"].items() for f in verdict["flags"] if f["flag"] == flag}


def test_a_fault_of_each_kind_is_found_and_nothing_else(tmp_path: Path) -> None:
    e = planted.entries(2, 3, seed=5)
    original = planted.clean(e[4])
    made = [planted.wrong_apex(e[0]), planted.blink(e[1]), planted.frozen(e[2]), planted.turn(e[3])]
    made += [original, planted.again(original), planted.nobody(e[5])]
    report = surveyed(tmp_path, made)
    found = flags(report)
    found[made[3].id] -= {"rigid"}  # a turn that is not quite an ellipsoid's leaves some
    kinds = ["apex", "blink", "frozen", "turn", "duplicate", "duplicate", "failed"]
    assert found == {clip.id: {kind} for clip, kind in zip(made, kinds, strict=True)}
    (apex,) = by_flag(report, "apex").values()
    late = np.flatnonzero(render.truth_of(made[0].entry.spec).course >= 0.9).max()  # the peak's end, next to the apex
    assert apex["at_ms"] == pytest.approx(5 * late, abs=12)
    (turn,) = by_flag(report, "turn").values()
    assert turn["value"] == pytest.approx(4, abs=0.6)
    assert original.id in by_flag(report, "duplicate")[f"{original.id}-again"]["why"]
    assert "No face" in by_flag(report, "failed")[made[-1].id]["why"]


def test_faults_of_place_and_measure_are_found(tmp_path: Path) -> None:
    e = planted.entries(4, 6, seed=8)
    person = [entry for entry in e if entry.subject == e[0].subject]
    other = next(entry for entry in e if entry.spec.person.portrait != e[0].spec.person.portrait)
    whole = planted.clean(person[0])
    made = [whole, planted.part(whole, 4), planted.clean(person[1]), planted.clean(person[2])]
    made += [planted.stranger(person[3], other), planted.gaps(person[4]), planted.from_the_side(other)]
    report = surveyed(tmp_path, made)
    kinds = ["overlap", "overlap", None, None, "landmarks", "missing", "asymmetry"]
    assert flags(report) == {clip.id: {kind} if kind else set() for clip, kind in zip(made, kinds, strict=True)}
    assert by_flag(report, "overlap")[whole.id]["value"] == 1  # of the shorter one's frames
    assert by_flag(report, "missing")[made[5].id]["value"] == pytest.approx(len(made[5].lacks) / 32, abs=1e-4)


@pytest.mark.slow
def test_planted_faults_among_twenty_clean_clips(tmp_path: Path) -> None:
    e = planted.entries(7, 7, seed=6)
    kinds = {
        "apex": planted.wrong_apex,
        "blink": planted.blink,
        "frozen": planted.frozen,
        "turn": planted.turn,
        "illumination": planted.light,
        "blur": planted.blur,
        "flat": planted.flat,
        "failed": planted.nobody,
    }
    clean = [planted.clean(entry) for entry in e[:44:2]]
    made, expected = list(clean), {clip.id: set[str]() for clip in clean}
    others = iter(e[1::2])
    for kind, plant in kinds.items():
        for clip in (plant(next(others)), plant(next(others))):
            made.append(clip)
            expected[clip.id] = {kind}
    for original, twin in ((clean[0], planted.same(clean[0])), (clean[1], planted.again(clean[1], 50))):
        made.append(twin)
        expected[original.id] = expected[twin.id] = {"duplicate"}
    found = flags(surveyed(tmp_path, made))
    for sample in found:
        if expected[sample] == {"turn"}:
            found[sample] -= {"rigid"}
    assert sum(not kinds for kinds in expected.values()) == 20
    assert found == expected


@pytest.mark.slow
def test_a_head_that_was_not_held_still_is_found(tmp_path: Path) -> None:
    entry = planted.entries(1, 1, seed=7)[0]
    nodes = yaml.safe_load((Path(__file__).parents[2] / "pipelines" / "features.yaml").read_text())["nodes"]
    kept = {name: nodes[name] for name in ("align", "landmarks", "frames", "still.frames", "flow.tvl1")}
    kept["align"]["params"] = {"stabilise": False}
    (tmp_path / "loose.yaml").write_text(yaml.safe_dump({"name": "loose", "nodes": kept}, sort_keys=False))
    report = surveyed(tmp_path, [planted.clean(entry)], tmp_path / "loose.yaml")
    assert "rigid" in flags(report)[entry.name]
    truth = render.truth_of(entry.spec)
    sway = np.hypot(*truth.shift.T).max() / truth.scale  # and rotation, which the face's edge feels
    assert 0.8 * sway < by_flag(report, "rigid")[entry.name]["value"] < 2 * sway


def test_there_is_no_false_alarm_in_a_demo(workplace: dict[str, Path]) -> None:
    report = json.loads(
        mepipe("qc", "--json", "--output", workplace["MEPIPE_STORE"].parent / "qc.json", **workplace).stdout
    )
    assert flags(report) == {sample: set() for sample in report["samples"]}
    assert len(report["samples"]) == 7
    assert all(len(verdict["values"]) >= 10 for verdict in report["samples"].values())
