"""The log of runs: what it says, that it upsets nothing, that it is not needed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mepipe import store as stores
from mepipe.cli.status import command
from mepipe.datasets.manifest import Sample, dump
from mepipe.run import executors, extract, log
from mepipe.run.extract import Summary
from mepipe.store import housekeeping
from mepipe.store.verify import everything
from tests.run import stages_for_tests as cheap


@pytest.fixture
def release(tmp_path: Path) -> tuple[Path, Path]:
    """A clip that is well, and a black one."""
    samples = []
    for name, grey in (("a", 90), ("b", 0)):
        (tmp_path / "release" / name).mkdir(parents=True)
        for n in range(3):
            cv2.imwrite(str(tmp_path / "release" / name / f"{n}.png"), np.full((24, 32), grey, np.uint8))
        samples.append(Sample(id=name, subject="x", clip=name, onset=0, apex=1, offset=2, fps=200))
    manifest = tmp_path / "tiny.csv"
    manifest.write_text(dump(samples))
    return tmp_path / "release", manifest


def test_a_run_leaves_what_it_did_and_one_with_nothing_to_do_leaves_nothing(
    release: tuple[Path, Path], tmp_path: Path
) -> None:
    for _ in range(2):
        cheap.extract(tmp_path / "s", *release, workers=1)
    (found,) = log.read(stores.open(tmp_path / "s"), "tiny")
    assert (found["ended"], found["recipe"], found["by"], found["samples"]) == ("complete", "cheap", "inline", 2)
    assert (found["computed"], found["failed"]) == ({"cut": 1, "mean": 1}, {"cut": 1, "mean": 1})
    assert found["reasons"] == {"cut: the clip is black. Switch on the light.": 1}
    assert {"decode", "store", "cut-for-tests", "mean-for-tests"} == found["seconds"].keys()
    assert "mepipe" in found["versions"]


def test_status_lists_runs(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    listed = CliRunner().invoke(command, ["--runs", "--store", str(tmp_path / "s")])
    assert listed.exit_code == 0, listed
    assert "tiny  cheap" in listed.output
    assert "inline: 2 computed, 2 failed in" in listed.output
    assert listed.output.endswith("; complete\n")
    told = json.loads(CliRunner().invoke(command, ["--runs", "--json", "--store", str(tmp_path / "s")]).output)
    assert [run["recipe"] for run in told] == ["cheap"]


def test_what_stopped_a_run_is_in_its_log(release: tuple[Path, Path], tmp_path: Path) -> None:
    def stop(summary: Summary) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract.run(cheap.make_plan(tmp_path / "s", *release), "cheap", executors.inline, stop)
    (found,) = log.read(stores.open(tmp_path / "s"), "tiny")
    assert found["ended"] == "interrupted"
    assert found["computed"] == {"cut": 1, "mean": 1}


def test_the_log_upsets_neither_verify_nor_gc_and_stays(release: tuple[Path, Path], tmp_path: Path) -> None:
    cheap.extract(tmp_path / "s", *release, workers=1)
    store = stores.open(tmp_path / "s")
    (before,) = (tmp_path / "s" / "refs" / "tiny").glob("*.run")
    assert everything(store, store.all(), deep=True).damaged == {}
    housekeeping.gc(store, remove=True)
    assert everything(store, store.all(), deep=True).damaged == {}
    assert before.exists()
    before.chmod(0o644)
    before.write_bytes(b'{"began": ')
    assert log.read(store, "tiny") == []
    assert store.refs("tiny").keys() == {"cheap"}
