"""Several at once on one store: nothing is lost, and the result is that of one after the other."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.lab import RECIPE, Lab, Result, differences, leftovers


def at_once(lab: Lab, commands: Sequence[Sequence[object]], **env: object) -> list[Result]:
    """Start all of them at the same instant, and wait for all."""
    instant = time.monotonic() + 0.2
    variables = {k: str(v) for k, v in env.items()}
    return [r.result() for r in [lab.start(*command, start=instant, env=variables) for command in commands]]


def ended_well(results: Sequence[Result]) -> bool:
    return all(r.status == 0 and "Error" not in r.err for r in results)


@pytest.mark.parametrize("attempt", range(3))
def test_four_that_start_at_once_on_an_empty_place_agree(lab: Lab, whole: Path, tmp_path: Path, attempt: int) -> None:
    results = at_once(lab, [lab.extraction(tmp_path / "s")] * 4)
    assert ended_well(results), results
    assert differences(whole, tmp_path / "s") == []
    assert leftovers(tmp_path / "s") == []
    assert lab.run("store", "verify", "--deep", "--store", tmp_path / "s").status == 0


def test_overlapping_samples_features_and_recipes_lose_nothing(lab: Lab, tmp_path: Path) -> None:
    bright = lab.folder / "bright.yaml"
    bright.write_text(
        RECIPE.replace("name: lab", "name: bright").replace("cut, store: f", "cut, params: {scale: 2.0}, store: f")
    )
    extras = [
        (),
        ("--sample", "s1", "--sample", "s2", "--sample", "s3"),
        ("-f", "cut", "--sample", "s3", "--sample", "s4"),
        ("-r", bright),
    ]
    one, all_ = tmp_path / "one", tmp_path / "all"
    for extra in extras:
        lab.complete(one, *extra)
    results = at_once(lab, [lab.extraction(all_, *extra) for extra in extras])
    assert ended_well(results), results
    assert differences(one, all_) == []


def test_verify_beside_extracts_finds_no_damage(lab: Lab, whole: Path, tmp_path: Path) -> None:
    check = ("store", "verify", "--deep", "--store", tmp_path / "s")
    extracts = [lab.start(*lab.extraction(tmp_path / "s"), env={"LAB_PAUSE": "0.2"}) for _ in range(2)]
    for _ in range(6):
        result = lab.run(*check)
        assert result.status in (0, 1, 2), result  # 2: no store yet; 1: not complete
        assert "damaged:" not in result.out, result
        assert "Traceback" not in result.err, result
    assert ended_well([e.result() for e in extracts])
    assert differences(whole, tmp_path / "s") == []
    assert lab.run(*check).status == 0


def test_verifies_and_repairs_at_once_end_in_the_same_store(lab: Lab, whole: Path, tmp_path: Path) -> None:
    lab.complete(tmp_path / "s")
    for chunk in (tmp_path / "s").glob("*/*/data/c.[25].*"):
        content = chunk.read_bytes()
        chunk.unlink()
        chunk.write_bytes(content[:-1])
    check = ("store", "verify", "--deep", "--store", tmp_path / "s")
    results = at_once(lab, [check, lab.extraction(tmp_path / "s"), check, lab.extraction(tmp_path / "s")])
    assert [r.status for r in results[1::2]] == [0, 0], results
    lab.complete(tmp_path / "s")  # a check may have come after both
    assert differences(whole, tmp_path / "s") == []
    assert lab.run(*check).status == 0


def test_two_with_workers_of_their_own_agree(lab: Lab, whole: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mepipe", *lab.extraction(tmp_path / "s", "-j", 2)]
    runs = [
        subprocess.Popen(command, env=lab.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [(r.communicate()[1].count(b"Error"), r.returncode) for r in runs] == [(0, 0)] * 2
    assert differences(whole, tmp_path / "s") == []
