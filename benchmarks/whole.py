"""The whole recipe, decode to store, against a plain serial script that does the same: wall time, end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.tables import Asked, Report, Table
from mepipe.datasets import demo, manifest

TITLE = "The whole recipe against a serial script"
WORKERS = 2
_TEXT = """\
`mepipe extract` of the recipe `features`, and `benchmarks/serial_script.py`, which computes the same features as a
laboratory's script would: every frame decoded and cropped by its own landmarks, OpenCV's default TV-L1 for each of
15 + 1 flows, a Laplacian pyramid for each frame. Wall time of the whole command, Python's start and imports included,
on the same demo clips (JPEG frames, read once before, so that both find them in memory). numba's compiled code is
cached, as on any run but the first."""


def run(quick: bool = False) -> Report:
    """Two clips when `quick`, else eight; the script with OpenCV's threads as they come only when not."""
    subjects, clips = (1, 2) if quick else (4, 2)
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        folder = Path(name)
        root = folder / "release"
        demo.write(root, "samm", subjects=subjects, clips=clips, seed=0, workers=WORKERS)
        place = {"MEPIPE_MANIFESTS": folder, "MEPIPE_ROOT_DEMO": root}
        _command("mepipe", "manifest", "build", "demo", **place)
        table = folder / "demo.csv"
        samples = manifest.read(table)
        first = samples[0].id
        # Once before the clock starts: files into memory, numba's cache filled.
        _command("mepipe", "extract", "-d", "demo", "--store", folder / "warm", "--sample", first, **place)
        for path in root.rglob("*.jpg"):
            path.read_bytes()
        rows: list[tuple[str, float, float, float]] = []
        for label, threads in (("serial script, one thread", 1), ("serial script, OpenCV's threads", None)):
            if quick and threads is None:
                continue
            option = ("--threads", threads) if threads else ()
            wall, out = _command("benchmarks.serial_script", table, root, folder / "arrays", *option)
            rows.append((label, wall, wall / len(samples), 1.0))
            parts = json.loads(out.splitlines()[-1])
            if threads:
                serial = {stage: took / len(samples) for stage, took in parts.items()}
        ours: dict[int, dict[str, Any]] = {}
        for workers in (WORKERS,) if quick else (1, WORKERS):
            store = folder / f"store{workers}"
            wall, out = _command("mepipe", "extract", "-d", "demo", "--store", store, "-j", workers, "--json", **place)
            ours[workers] = json.loads(out)
            rows.append((f"mepipe extract, {workers} worker{'s'[: workers - 1]}", wall, wall / len(samples), 1.0))
        frames = sum(sample.offset - sample.onset + 1 for sample in samples)
    base = rows[0][1]
    stages = {stage: took / len(samples) for stage, took in ours[WORKERS]["seconds"].items()}
    return Report(
        TITLE,
        f"{_TEXT} {len(samples)} clips, {frames} frames.",
        [
            Table(
                "End to end",
                ("command", "wall, s", "s per clip", "times faster"),
                [(label, wall, each, base / wall) for label, wall, each, _ in rows],
            ),
            Table("Seconds per clip by step, serial script", tuple(serial), [tuple(serial.values())]),
            Table(f"Seconds per clip by stage, mepipe, {WORKERS} workers", tuple(stages), [tuple(stages.values())]),
        ],
        [Asked("times faster than the script on one thread, end to end, 2 workers", base / rows[-1][1], ">=", 35)],
    )


def _command(module: str, *args: object, **variables: object) -> tuple[float, str]:
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
