"""Extractions worth killing, and what a kill at any of their steps must leave: nothing that a next run cannot mend."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.lab import Lab, differences, kind

SEGMENTS = 40  # more than a ledger is left in


@dataclass(frozen=True)
class Scenario:
    """An extraction. begin: the store before it; None for none. whole: the store after it. steps: what it does."""

    name: str
    lab: Lab
    begin: Path | None
    manifest: Path
    whole: Path
    steps: list[str]

    def kinds(self) -> Counter[str]:
        """How many of its steps write what."""
        return Counter(map(kind, self.steps))

    def place(self, store: Path) -> None:
        """Put the store before it there."""
        shutil.rmtree(store, ignore_errors=True)
        if self.begin:
            shutil.copytree(self.begin, store)

    def kill(self, store: Path, step: int, length: int | None) -> list[str]:
        """Kill it at a step, complete it, and say what then is otherwise than it should be.

        length: None to kill before the step is taken; else in the first write after it, so many bytes into the file.
        """
        self.place(store)
        fault = {"store": str(store), "at": step, "bytes": length}
        killed = self.lab.extract(store, manifest=self.manifest, fault=fault)
        wrong = [] if _died(killed.status) else [f"was not killed: {killed}"]
        if (store / "zarr.json").exists():
            checked = self.lab.run("store", "verify", "--deep", "--store", store)
            fresh = [line for line in checked.out.splitlines() if "damaged: " in line and "(known)" not in line]
            if fresh or checked.err:
                wrong.append(f"between: {fresh} {checked.err}")
        self.lab.complete(store, manifest=self.manifest)
        return wrong + differences(self.whole, store)


def _died(status: int | str) -> bool:
    return isinstance(status, int) and status < 0


def _scenario(lab: Lab, name: str, begin: Path | None, manifest: Path) -> Scenario:
    whole, log = lab.folder / f"{name}.whole", lab.folder / f"{name}.log"
    scenario = Scenario(name, lab, begin, manifest, whole, [])
    scenario.place(whole)
    lab.extract(whole, manifest=manifest, fault={"store": str(whole), "at": 0, "log": str(log)})
    scenario.steps.extend(log.read_text().splitlines())
    return scenario


def new(lab: Lab) -> Scenario:
    """Into an empty place."""
    return _scenario(lab, "new", None, lab.manifest)


def changed(lab: Lab) -> Scenario:
    """After an apex was corrected: a second snapshot, most samples taken over."""
    begin = lab.folder / "changed.begin"
    lab.complete(begin)
    return _scenario(lab, "changed", begin, lab.edit("corrected", "s3", apex=14))


def repair(lab: Lab) -> Scenario:
    """After damage was found."""
    begin = lab.folder / "repair.begin"
    lab.complete(begin)
    for chunk in begin.glob("*/*/data/c.3.*"):
        chunk.write_bytes(b"")
    assert lab.run("store", "verify", "--store", begin).status == 1
    return _scenario(lab, "repair", begin, lab.manifest)


def merge(lab: Lab) -> Scenario:
    """With so many ledger segments that they are put into one. They say the same: a ledger is a union."""
    begin = lab.folder / "merge.begin"
    lab.complete(begin)
    for segment in list(begin.glob("*/*/ledger/*.jsonl")):
        for _ in range(-(-SEGMENTS // lab.samples)):
            shutil.copy(segment, segment.with_name(f"{uuid.uuid4().hex}.jsonl"))
    return _scenario(lab, "merge", begin, lab.manifest)


ALL = {f.__name__: f for f in (new, changed, repair, merge)}
