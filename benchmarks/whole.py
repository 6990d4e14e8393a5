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
from pathlib import Path
from typing import Any

from benchmarks.tables import Asked, Report, Table
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
twelfth clip only; its time for all is its start and the time per frame of these, times the frames of all."""
_EVERY = 12


def run(quick: bool = False) -> Report:
    """Three clips when `quick`, else as many as SAMM has, and the script with OpenCV's threads, too."""
    subjects, clips = (1, 3) if quick else (29, 5)
    with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
        folder = Path(name)
        root = folder / "release"
        demo.write(root, "samm", subjects=subjects, clips=clips, seed=0, workers=WORKERS)
        place: dict[str, object] = {"MEPIPE_MANIFESTS": folder, "MEPIPE_ROOT_DEMO": root}
        _command("mepipe", "manifest", "build", "demo", **place)
        place["XDG_CACHE_HOME"] = folder / "cache"
        table, part = folder / "demo.csv", folder / "part.csv"
        samples = manifest.read(table)
        header, *lines = table.read_text(encoding="utf-8").splitlines()
        part.write_text("\n".join([header, *lines[::_EVERY]]) + "\n", encoding="utf-8")
        frames, some = _frames(samples), _frames(samples[::_EVERY])

        def extract(store: str, *options: object) -> tuple[float, dict[str, Any]]:
            shutil.rmtree(folder / "cache" / "mepipe", ignore_errors=True)  # else clips would not be hashed again
            given = ("-d", "demo", "--store", folder / store, "--json", *options)
            wall, out = _command("mepipe", "extract", *given, **place)
            return wall, json.loads(out)

        # Once before the clock starts: files into memory, numba's cache filled.
        extract("warm", "--sample", samples[0].id)
        for path in root.rglob("*.jpg"):
            path.read_bytes()
        rows: list[tuple[str, float]] = []
        for label, threads in (("serial script, one thread", 1), ("serial script, OpenCV's threads", None)):
            if quick and threads is None:
                continue
            option = ("--threads", threads) if threads else ()
            wall, out = _command("benchmarks.serial_script", part, root, folder / "arrays", *option)
            parts = {stage: took * frames / some for stage, took in json.loads(out.splitlines()[-1]).items()}
            work = sum(parts.values())
            rows.append((label, wall - work * some / frames + work))
            if threads:
                serial = parts
        for workers in (WORKERS,) if quick else (1, WORKERS):
            wall, ours = extract(f"store{workers}", "-j", workers)
            rows.append((f"mepipe extract, {workers} worker{'s'[: workers - 1]}", wall))
        few = [option for sample in samples[:WORKERS] for option in ("--sample", sample.id)]
        start, _ = extract("few", "-j", WORKERS, *few)
    base = rows[0][1]
    further = (frames - _frames(samples[:WORKERS])) / frames  # the share of the work that `few` leaves
    gain = sum(serial.values()) * further / (wall - start)
    asked = f"times faster than the script on one thread, end to end, {WORKERS} workers, {len(samples)} clips"
    return Report(
        TITLE,
        f"{_TEXT} {len(samples)} clips, {frames} frames.",
        [
            Table(
                "End to end",
                ("command", "wall, s", "s per clip", "times faster"),
                [(label, took, took / len(samples), base / took) for label, took in rows],
                f"Start-up of mepipe and its first {WORKERS} clips take {start:.1f} s; for every further clip it is "
                f"{gain:.0f} times faster than the script, both without their start.",
            ),
            Table("Seconds per clip by step, serial script", tuple(serial), [_each(serial, len(samples))]),
            Table(
                f"Seconds per clip by stage, mepipe, {WORKERS} workers",
                tuple(ours["seconds"]),
                [_each(ours["seconds"], len(samples))],
            ),
        ],
        [Asked(asked, base / rows[-1][1], ">=", 35)],
    )


def _frames(samples: Sequence[Sample]) -> int:
    return sum(sample.offset - sample.onset + 1 for sample in samples)


def _each(seconds: dict[str, float], count: int) -> tuple[float, ...]:
    return tuple(took / count for took in seconds.values())


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
