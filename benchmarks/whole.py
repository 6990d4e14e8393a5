"""The whole recipe, decode to store, against a plain serial script that does the same: wall time, end to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import Asked, Report, Row, Table
from mepipe.datasets import demo, manifest
from mepipe.datasets.manifest import Sample

TITLE = "The whole recipe against a serial script"
WORKERS = 2
_TEXT = """\
`mepipe extract` of the recipe `features`, and `benchmarks/serial_script.py`, which computes the same features as a
laboratory's script would: every frame decoded and cropped by its own landmarks, OpenCV's default TV-L1 for each of
15 + 1 flows, a Laplacian pyramid for each frame. Wall time of the whole command, Python's start and imports included,
on the same demo clips (JPEG frames, read once before, so that both find them in memory). numba's compiled code is
cached, as on any run but the first. The script takes clip after clip and frame after frame, so it is run on every
twelfth clip only; its time for all is its start and the time per frame of these, times the frames of all. mepipe
with {workers} workers runs before, between and after the two scripts, and the median counts: on a virtual machine,
what others do on the same processors lengthens a run by up to a half. {clips} clips, {frames} frames."""
_EVERY = 12


def run(quick: bool = False) -> Report:
    """Three clips when `quick`, else as many as SAMM has, and the script with OpenCV's threads, too."""
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        release = _written(Path(name), *((1, 3) if quick else (29, 5)))
        release.warm_up()
        ours = [release.extract(WORKERS)]
        serial, parts = release.script(threads=1)
        others = {"serial script, one thread": serial}
        if not quick:
            ours.append(release.extract(WORKERS))
            others["serial script, OpenCV's threads"], _ = release.script(threads=None)
            ours.append(release.extract(WORKERS))
            others["mepipe extract, 1 worker"], _ = release.extract(1)
    ours.sort(key=lambda timed: timed[0])
    wall, seconds = ours[len(ours) // 2]
    count = len(release.samples)
    rows: list[Row] = [(label, took, took / count, serial / took, "") for label, took in others.items()]
    spread = f"{serial / ours[-1][0]:.1f}-{serial / ours[0][0]:.1f}"
    rows.append((f"mepipe extract, {WORKERS} workers", wall, wall / count, serial / wall, spread))
    asked = f"times faster than the script on one thread, end to end, {WORKERS} workers, {count} clips"
    return Report(
        TITLE,
        _TEXT.format(workers=WORKERS, clips=count, frames=_frames(release.samples)),
        [
            Table("End to end", ("command", "wall, s", "s per clip", "times faster", "range"), rows),
            Table("Seconds per clip by step, serial script", tuple(parts), [_each(parts, count)]),
            Table(f"Seconds per clip by stage, mepipe, {WORKERS} workers", tuple(seconds), [_each(seconds, count)]),
        ],
        [Asked(asked, serial / wall, ">=", 35)],
    )


@dataclass(frozen=True)
class _Release:
    """Demo clips in a folder, with their manifest; `part.csv` has every twelfth."""

    folder: Path
    samples: list[Sample]

    def warm_up(self) -> None:
        """Files into memory, numba's cache filled."""
        self.extract(WORKERS, self.samples[:WORKERS])
        for path in (self.folder / "release").rglob("*.jpg"):
            path.read_bytes()

    def extract(self, workers: int, some: Sequence[Sample] = ()) -> tuple[float, dict[str, float]]:
        """All clips, or some, into a store of their own: wall seconds, and what stages took, seconds of the workers."""
        shutil.rmtree(self.folder / "cache" / "mepipe", ignore_errors=True)  # else clips would not be hashed again
        only = [option for sample in some for option in ("--sample", sample.id)]
        given = ("-d", "demo", "--store", self.folder / "store", "--json", "-j", workers, *only)
        wall, out = command("mepipe", "extract", *given, **_places(self.folder))
        shutil.rmtree(self.folder / "store")
        return wall, json.loads(out)["seconds"]

    def script(self, threads: int | None) -> tuple[float, dict[str, float]]:
        """Seconds that the script takes for all clips, and its steps."""
        option = ("--threads", threads) if threads else ()
        part, root, arrays = self.folder / "part.csv", self.folder / "release", self.folder / "arrays"
        wall, out = command("benchmarks.serial_script", part, root, arrays, *option)
        share = _frames(self.samples[::_EVERY]) / _frames(self.samples)
        parts = {step: took / share for step, took in json.loads(out.splitlines()[-1]).items()}
        work = sum(parts.values())
        return wall - work * share + work, parts


def _written(folder: Path, subjects: int, clips: int) -> _Release:
    demo.write(folder / "release", "samm", subjects=subjects, clips=clips, seed=0, workers=WORKERS)
    command("mepipe", "manifest", "build", "demo", **_places(folder))
    header, *lines = (folder / "demo.csv").read_text(encoding="utf-8").splitlines()
    (folder / "part.csv").write_text("\n".join([header, *lines[::_EVERY]]) + "\n", encoding="utf-8")
    return _Release(folder, manifest.read(folder / "demo.csv"))


def _places(folder: Path) -> dict[str, object]:
    """Where mepipe finds what, as environment variables."""
    return {
        "MEPIPE_MANIFESTS": folder,
        "MEPIPE_ROOT_DEMO": folder / "release",
        "XDG_CACHE_HOME": folder / "cache",
    }


def _frames(samples: Sequence[Sample]) -> int:
    return sum(sample.offset - sample.onset + 1 for sample in samples)


def _each(seconds: dict[str, float], count: int) -> tuple[float, ...]:
    return tuple(took / count for took in seconds.values())


def command(module: str, *args: object, **variables: object) -> tuple[float, str]:
    """Wall seconds and standard output of `python -m module args`; raises with its errors where it fails."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, args)], capture_output=True, text=True, env=environment, check=False
    )
    wall = time.perf_counter() - start
    if done.returncode:
        msg = f"python -m {module} {' '.join(map(str, args))}: exit {done.returncode}\n{done.stderr}"
        raise RuntimeError(msg)
    return wall, done.stdout
