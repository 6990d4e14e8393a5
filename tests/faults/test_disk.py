"""A disk that is full or read-only; a folder shared with colleagues of any umask."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mepipe import store as stores
from tests.faults.lab import Lab, Result, differences

TEAM, COLLEAGUE = 54321, 54322  # a group and a user that need not exist


def one_error(result: Result) -> str:
    """The one line that a command which could not go on has ended with."""
    assert result.status == 1, result
    assert "Traceback" not in result.text, result
    lines = [line for line in result.err.splitlines() if not line.startswith("tiny: ")]
    assert len(lines) == 1, result
    assert lines[0].startswith("Error: "), result
    return lines[0]


def mount(*options: object) -> None:
    done = subprocess.run(["mount", *map(str, options)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    if sys.platform != "linux":
        pytest.skip("needs tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", folder], check=True)


def ballast(disk: Path, free: int) -> Path:
    """Fill a disk but for so many bytes."""
    file = disk / "ballast"
    space = os.statvfs(disk)
    with file.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, space.f_bavail * space.f_frsize - free)
    return file


def needs(whole: Path, share: float) -> int:
    """The bytes of a disk that a share of a store takes."""
    return int(share * sum(-(-p.stat().st_size // 4096) * 4096 for p in whole.rglob("*") if p.is_file()))


@pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.85, 0.97])
def test_a_full_disk_ends_an_extraction_in_one_line_and_space_completes_it(
    lab: Lab, whole: Path, disk: Path, share: float
) -> None:
    file = ballast(disk, needs(whole, share))
    error = one_error(lab.extract(disk / "s"))
    assert "No space left" in error
    checked = lab.run("store", "verify", "--deep", "--store", disk / "s")
    assert "damaged:" not in checked.out
    assert "Traceback" not in checked.err
    file.unlink()
    lab.complete(disk / "s")
    assert differences(whole, disk / "s") == []


def test_a_disk_that_fills_up_stops_workers_too(lab: Lab, whole: Path, disk: Path) -> None:
    file = ballast(disk, needs(whole, 0.8))
    command = [sys.executable, "-m", "mepipe", *lab.extraction(disk / "s", "-j", 2)]
    done = subprocess.run(command, env=lab.environment(), capture_output=True, text=True, check=False, timeout=120)
    assert "No space left" in one_error(Result(done.returncode, done.stdout, done.stderr))
    file.unlink()
    lab.complete(disk / "s")
    assert differences(whole, disk / "s") == []


@pytest.mark.parametrize("limit", [60, 4000])
def test_files_that_may_not_grow_end_an_extraction_in_one_line(
    lab: Lab, whole: Path, tmp_path: Path, limit: int
) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    command = [sys.executable, "-c", limited + "from mepipe.cli import main; main()", *lab.extraction(tmp_path / "s")]
    done = subprocess.run(command, env=lab.environment(), capture_output=True, text=True, check=False)
    assert "File too large" in one_error(Result(done.returncode, done.stdout, done.stderr))
    lab.complete(tmp_path / "s")
    assert differences(whole, tmp_path / "s") == []


@pytest.fixture
def frozen(whole: Path, disk: Path) -> Path:
    """A complete store on a disk that cannot be written any more."""
    shutil.copytree(whole, disk / "s")
    mount("-o", "remount,ro", disk)
    return disk / "s"


def test_a_read_only_store_is_read_listed_and_verified(lab: Lab, whole: Path, frozen: Path) -> None:
    assert lab.run("status", "--store", frozen).status == 0
    assert "6/6 done" in lab.run("store", "ls", "--store", frozen).out
    for deep in ((), ("--deep",)):
        checked = lab.run("store", "verify", *deep, "--store", frozen)
        assert (checked.status, checked.err) == (0, "")
    for node, feature in stores.open(whole).features("tiny").items():
        found = stores.open(frozen).feature(f"tiny/{node}")
        for sample in feature.done:
            np.testing.assert_array_equal(found[sample], feature[sample])


def test_extract_of_what_a_read_only_store_holds_is_well_and_writes_nothing(lab: Lab, frozen: Path) -> None:
    done = lab.extract(frozen)
    assert done.status == 0, done.err


def test_extract_into_a_read_only_store_says_so_in_one_line(lab: Lab, frozen: Path) -> None:
    changed = lab.edit("frozen", "s2", apex=13)
    assert "Read-only" in one_error(lab.extract(frozen, manifest=changed))
    assert "Read-only" in one_error(lab.extract(frozen.parent / "new"))


def test_damage_in_a_read_only_store_is_told_though_it_cannot_be_marked(lab: Lab, whole: Path, disk: Path) -> None:
    shutil.copytree(whole, disk / "s")
    for chunk in (disk / "s").glob("*/cut-*/data/c.3.*"):
        chunk.unlink()
    mount("-o", "remount,ro", disk)
    checked = lab.run("store", "verify", "--store", disk / "s")
    assert checked.status == 1
    assert ": s3: c.3.0.0.0.0 is gone" in checked.out
    assert "not marked" in checked.err


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_no_umask_locks_colleagues_out_or_strangers_in(lab: Lab, tmp_path: Path, umask: int) -> None:
    assert lab.extract(tmp_path / "s", umask=umask).status == 0
    entries = [tmp_path / "s", *(tmp_path / "s").rglob("*")]
    modes = {(p.is_dir(), oct(stat.S_IMODE(p.stat().st_mode))) for p in entries}
    assert modes == {(True, oct(0o2775)), (False, oct(0o444))}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_colleagues_take_over_repair_and_extend_what_another_has_made(lab: Lab, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as name:
        team = Path(name)
        os.chown(team, COLLEAGUE, TEAM)
        team.chmod(0o2775)
        store, alone = team / "s", tmp_path / "alone"
        assert lab.extract(store, umask=0o077).status == 0
        lab.complete(alone)
        for chunk in store.glob("*/cut-*/data/c.3.*"):
            chunk.unlink()
            chunk.write_bytes(b"")
        for path in [store, *store.rglob("*")]:
            assert path.stat().st_gid == TEAM, path
            os.chown(path, COLLEAGUE, TEAM)
            if path.is_dir():
                path.chmod(0o2775)  # chown takes the bit away
        me = {"group": TEAM, "umask": 0o077}
        assert lab.run("store", "verify", "--store", store, **me).status == 1
        mended = lab.extract(store, **me)
        assert mended.status == 0, mended
        corrected = lab.edit("team", "s2", apex=13)
        extended = lab.extract(store, manifest=corrected, **me)
        assert extended.status == 0, extended
        lab.complete(alone, manifest=corrected)
        assert differences(alone, store) == []
        assert lab.run("store", "verify", "--deep", "--store", store).status == 0
