"""One file of a store is damaged: verify names it, nothing reads wrongly, and extract repairs just that."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mepipe import store as stores
from mepipe.errors import MepipeError
from tests.faults.lab import Lab, Result, differences

KINDS = {
    "chunk": "*@*/*/data/c.*",
    "segment": "*@*/*/ledger/*.jsonl",
    "ledger's group": "*@*/*/ledger/zarr.json",
    "seal": "*@*/**/seal/zarr.json",
    "feature's group": "*@*/*-*/zarr.json",
    "array": "*@*/*-*/data/zarr.json",
    "coordinate's metadata": "*@*/*-*/[slpc]*/zarr.json",
    "coordinate": "*@*/*-*/[slp]*/c/**/0",
    "snapshot's group": "*@*/zarr.json",
    "snapshot's column": "*@*/[a-z]*/c/0",
    "snapshot's column's metadata": "*@*/[a-z]*/zarr.json",
    "ref": "refs/tiny/lab.json",
    "root": "zarr.json",
    "refs' group": "refs/**/zarr.json",
}
# Of these a store knows no more than it holds, so that their loss alone cannot be told.
UNTOLD = {("ref", "delete"), ("seal", "delete")}


def truncate(content: bytes, at: int) -> bytes:
    return content[: at % len(content)]


def flip(content: bytes, at: int) -> bytes:
    place = at // 8 % len(content)
    return content[:place] + bytes([content[place] ^ 1 << at % 8]) + content[place + 1 :]


def append(content: bytes, at: int) -> bytes:
    return content + flip(content, at)[: 1 + at % 40]


FAULTS: dict[str, Callable[[bytes, int], bytes] | None] = {
    "truncate": truncate,
    "flip": flip,
    "append": append,
    "empty": lambda content, at: b"",
    "delete": None,
    "folder": None,
}


def damage(file: Path, fault: str, at: int) -> None:
    change = FAULTS[fault]
    if change:
        content = change(file.read_bytes(), at)
        file.unlink()  # chunks may be linked, and read-only
        file.write_bytes(content)
        return
    file.unlink()
    if fault == "folder":
        file.mkdir()


def written(store: Path) -> dict[str, tuple[int, int]]:
    """When each chunk was written, and as which file."""
    chunks = [p for p in store.glob("*/*/data/c.*") if ".partial" not in p.name]
    return {p.relative_to(store).as_posix(): (p.stat().st_mtime_ns, p.stat().st_ino) for p in chunks}


def read_or_refuse(store: Path, whole: Path) -> None:
    """Every sample reads as it was written, or is refused with a MepipeError."""
    right = stores.open(whole).features("tiny")
    for node, feature in right.items():
        for sample in feature.done:
            try:
                found = stores.open(store).feature(f"tiny/{node}")
                values, position = found[sample], found.position(sample)
            except MepipeError:
                continue
            np.testing.assert_array_equal(values, feature[sample])
            np.testing.assert_array_equal(position, feature.position(sample))
            assert found.dims == feature.dims


def one_line(result: Result) -> bool:
    """Whether a command ended well, or with one error that a person can act on."""
    errors = [line for line in result.err.splitlines() if line.startswith("Error: ")]
    return result.status == 0 or (result.status in (1, 2) and len(errors) <= 1 and "Traceback" not in result.text)


def attack(lab: Lab, whole: Path, store: Path, kind: str, fault: str, which: int, at: int) -> None:
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(whole, store)
    found = sorted(p for p in store.glob(KINDS[kind]) if p.is_file())
    assert found, "no such file in the store"
    file = found[which % len(found)]
    where = file.relative_to(store)
    try:
        lines = {line for line in file.read_text().splitlines() if line}
    except UnicodeDecodeError:
        lines = set()
    before = written(store)
    damage(file, fault, at)
    for command in (("status",), ("store", "ls")):
        assert one_line(result := lab.run(*command, "--store", store)), result
    read_or_refuse(store, whole)
    told = lab.run("store", "verify", "--deep", "--store", store)
    assert one_line(told), told
    if (kind, fault) not in UNTOLD:
        assert told.status != 0, told
        owner = {"root": "zarr.json", "refs' group": "refs"}.get(kind, where.parts[0])
        assert owner in told.text, told
    mended = lab.extract(store)
    assert mended.status == 0, mended
    assert differences(whole, store) == []
    assert lab.run("store", "verify", "--deep", "--store", store).status == 0
    allowed = _samples_lost(kind, where, lines)
    changed = {n for n, when in written(store).items() if before.get(n) != when}
    assert {n for n in changed if n.split("/")[-1].split(".")[1] not in allowed} == set()


def _samples_lost(kind: str, where: Path, lines: set[str]) -> set[str]:
    """The indices of samples that may be written again."""
    if kind == "chunk":
        return {where.name.split(".")[1]}
    return {name[1:] for line in lines for name in re.findall(r"s\d", line)} if kind == "segment" else set()


ATTACK = {"fault": st.sampled_from(sorted(FAULTS)), "which": st.integers(0, 99), "at": st.integers(0, 99_999)}
QUIET = {
    "phases": [Phase.explicit, Phase.reuse, Phase.generate],
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=2, **QUIET)
@given(**ATTACK)
def test_one_damaged_file_is_named_and_repaired_and_nothing_else(
    lab: Lab, whole: Path, kind: str, fault: str, which: int, at: int
) -> None:
    attack(lab, whole, lab.folder / "damaged", kind, fault, which, at)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, **QUIET)
@given(**ATTACK)
def test_any_damaged_file_is_named_and_repaired_and_nothing_else(
    lab: Lab, whole: Path, kind: str, fault: str, which: int, at: int
) -> None:
    attack(lab, whole, lab.folder / "damaged", kind, fault, which, at)
