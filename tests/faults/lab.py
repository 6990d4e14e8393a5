"""A tiny laboratory: a release, a recipe of two cheap stages, real mepipe processes, stores compared byte by byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mepipe import store as stores
from mepipe.datasets.manifest import Sample, dump, read
from mepipe.store.feature import Feature

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RECIPE = """\
name: lab
nodes:
  cut: {stage: lab-cut, input: source, store: true}
  mean: {stage: lab-mean, input: cut, store: float16}
"""
BLACK = "s4"  # the sample that fails, where one is to


@dataclass(frozen=True)
class Result:
    """How a command ended. status: negative where a signal ended it, "hangs" where nothing did."""

    status: int | str
    out: str
    err: str

    @property
    def text(self) -> str:
        """All it said."""
        return self.out + self.err


@dataclass
class Lab:
    """A place of work. Commands run in processes forked by a server that has imported mepipe already (forker.py)."""

    folder: Path
    samples: int = 6
    black: bool = False
    release: Path = field(init=False)
    manifest: Path = field(init=False)
    recipe: Path = field(init=False)

    def __post_init__(self) -> None:
        self.release, self.manifest, self.recipe = (self.folder / n for n in ("release", "tiny.csv", "lab.yaml"))
        rows = []
        rng = np.random.default_rng(3)
        for i in range(self.samples):
            clip = self.release / f"clip{i}"
            clip.mkdir(parents=True)
            for n in range(10, 16 + 5 * i):
                bright = 0 if self.black and f"s{i}" == BLACK else 1
                cv2.imwrite(str(clip / f"img{n}.png"), bright * rng.integers(50, 200, (24, 32), np.uint8))
            row = {"id": f"s{i}", "clip": clip.name, "offset": 15 + 5 * i}
            rows.append(Sample(subject="x", onset=10, apex=12, fps=200, **row))
        self.manifest.write_text(dump(rows))
        self.recipe.write_text(RECIPE)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=ROOT,
        )

    def close(self) -> None:
        """End the server."""
        self._server.stdin.close()  # type: ignore[union-attr]
        self._server.wait()

    def environment(self, **more: object) -> dict[str, str]:
        """Variables of a process of this place: nothing of the machine's own settings."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("MEPIPE_")}
        lab = {"MEPIPE_STAGES": HERE / "stages", "PYTHONPATH": f"{HERE / 'site'}{os.pathsep}{ROOT}"}
        return {**own, **{k: str(v) for k, v in {**lab, "XDG_CACHE_HOME": self.folder / "xdg", **more}.items()}}

    def extraction(self, store: Path | str, *more: object, manifest: Path | None = None) -> list[str]:
        """The arguments of an extraction of everything by one process."""
        given = ("extract", "-m", manifest or self.manifest, "--root", self.release, "-r", self.recipe)
        return [str(a) for a in (*given, "--store", store, "-j", 0, *more)]

    def start(self, *args: object, **how: Any) -> Running:
        """Start a command; see forker._become for what may be asked of its process."""
        outputs = [tempfile.mkstemp(dir=self.folder)[1] for _ in range(2)]
        request = {"env": {}, "umask": 0o022, "group": None, "limit": None, "fault": None, "start": None, **how}
        pid = self._ask({**request, "args": [str(a) for a in args], "out": outputs[0], "err": outputs[1]})
        return Running(self, pid, Path(outputs[0]), Path(outputs[1]))

    def run(self, *args: object, **how: Any) -> Result:
        """Run a command to its end."""
        return self.start(*args, **how).result()

    def extract(self, store: Path | str, *more: object, manifest: Path | None = None, **how: Any) -> Result:
        """Extract everything, in one process, to its end."""
        return self.run(*self.extraction(store, *more, manifest=manifest), **how)

    def complete(self, store: Path | str, *more: object, manifest: Path | None = None) -> None:
        """Extract everything, and insist that it ends as an extraction that nothing disturbs does."""
        result = self.extract(store, *more, manifest=manifest)
        failed = f"failed: {BLACK}: lab-cut: the clip is black. Switch on the light.\n" if self.black else ""
        assert result.status == (1 if failed else 0), result
        assert result.err.splitlines()[1:] == failed.splitlines(), result

    def edit(self, name: str, sample: str, **fields: object) -> Path:
        """Another manifest of the same name in a folder of its own, in which one sample is changed."""
        target = self.folder / name / self.manifest.name
        target.parent.mkdir()
        rows = (s.model_copy(update=fields) if s.id == sample else s for s in read(self.manifest))
        target.write_text(dump(rows))
        return target

    def _ask(self, request: Mapping[str, Any]) -> Any:
        self._server.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]
        self._server.stdin.flush()  # type: ignore[union-attr]
        return json.loads(self._server.stdout.readline())  # type: ignore[union-attr]


@dataclass(frozen=True)
class Running:
    """A command under way."""

    lab: Lab
    pid: int
    out: Path
    err: Path

    def result(self, timeout: float = 120.0) -> Result:
        """Wait for its end."""
        status = self.lab._ask({"pid": self.pid, "timeout": timeout})
        texts = [p.read_text() for p in (self.out, self.err)]
        self.out.unlink()
        self.err.unlink()
        return Result(status, *texts)


def records(feature: Feature) -> dict[str, tuple[str, str, str, str]]:
    """What a feature's ledger says, without who, when, how long and how often."""
    return {r.sample: (r.state, r.digest, r.fingerprint, r.reason) for r in feature.records.values()}


def files(store: Path) -> dict[str, bytes]:
    """Every frozen file: all but ledgers, refs, and what killed writers left behind under names that nobody reads."""
    found = (p for p in store.rglob("*") if p.is_file() and p.suffix != ".jsonl")
    names = {p.relative_to(store): p for p in found}
    kept = {n: p for n, p in names.items() if n.parts[0] != "refs" and not any(".partial" in x for x in n.parts)}
    return {n.as_posix(): p.read_bytes() for n, p in kept.items()}


def differences(whole: Path, other: Path) -> list[str]:
    """What tells two stores apart: data and metadata byte by byte, ledgers, refs. Empty where nothing does."""
    a, b = files(whole), files(other)
    names = [n for n in a.keys() | b.keys() if a.get(n) != b.get(n)]
    found = [f"{n}: {'differs' if n in a and n in b else 'is in one only'}" for n in names]
    one, two = stores.open(whole), stores.open(other)
    for name in one.datasets():
        if {k: (r.snapshot, r.nodes) for k, r in one.refs(name).items()} != {
            k: (r.snapshot, r.nodes) for k, r in two.refs(name).items()
        }:
            found.append(f"refs of {name}")
    for x, y in zip(one.all(), two.all(), strict=True):
        if records(x) != records(y):
            found.append(f"ledger of {x.path}: {sorted(set(records(x).items()) ^ set(records(y).items()))}")
    return sorted(found)


def leftovers(store: Path) -> list[str]:
    """What killed writers left behind."""
    return sorted(p.relative_to(store).as_posix() for p in store.rglob("*.partial"))


def kind(line: str) -> str:
    """What a logged step writes: skeleton, chunk, ledger, ref."""
    marks = {".jsonl": "ledger", "/refs/": "ref", "/data/c.": "chunk"}
    return next((kind for mark, kind in marks.items() if mark in line), "skeleton")
