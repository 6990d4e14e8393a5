"""A release of ten thousand clips: how long `manifest build` takes, and how much memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.tables import Asked, Report, Row, Table
from mepipe.datasets.demo import casme2_layout, workbook

TITLE = "The manifest of ten thousand clips"
_TEXT = """\
`mepipe manifest build casme2` of a look-alike release: {clips} clips of {frames} frames each, of 100 subjects, as empty
files, since building does not decode. A hundredth of the clips lacks a frame, a thousandth has no folder. The command
runs in a process of its own, twice, after the files were written (the system has their names in memory); the
fastest counts, since other programs on the machine disturb, and the largest memory."""
# A small process starts the command: what the system says of its memory is at least that of who started it.
_METER = """
import resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(status, time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)
"""
_SUBJECTS, _FRAMES = 100, 80
_SECONDS = 60.0
# Per clip a row of the sheet, a sample and what is said of it are kept, never its frames' names.
_KILOBYTES_A_CLIP = 20.0


def run(quick: bool = False) -> Report:
    """Ten thousand clips and, for the memory that each takes, a tenth of them; a tenth of both when `quick`."""
    rows: list[Row] = []
    memory = []
    sizes = (100, 1000) if quick else (1000, 10_000)
    for clips in sizes:
        with tempfile.TemporaryDirectory(prefix="mepipe-bench-") as name:
            root = Path(name) / "release"
            start = time.perf_counter()
            make(root, clips)
            made = time.perf_counter() - start
            runs = [_measure(root, Path(name) / "casme2.csv") for _ in range(2)]
            lines = len((Path(name) / "casme2.csv").read_text(encoding="utf-8").splitlines()) - 1
        seconds, cpu, megabytes = zip(*runs, strict=True)
        memory.append(max(megabytes))
        rows.append((f"{clips} clips", min(seconds), min(cpu), max(megabytes), lines, made))
    kilobytes = (memory[1] - memory[0]) * 1e3 / (sizes[1] - sizes[0])
    asked = [
        Asked(f"manifest of {sizes[1]} clips: s", float(str(rows[1][1])), "<=", _SECONDS),
        Asked("memory for each clip more: kB", kilobytes, "<=", _KILOBYTES_A_CLIP),
    ]
    header = ("release", "s", "s, CPU", "MB", "samples", "s to write it")
    return Report(TITLE, _TEXT.format(clips=sizes[1], frames=_FRAMES), [Table("manifest build", header, rows)], asked)


def make(root: Path, clips: int) -> None:
    """A release in CASME II's layout, of empty frames."""
    rows: list[tuple[object, ...]] = []
    for index in range(clips):
        subject, film = f"{index % _SUBJECTS:02d}", f"EP{index // _SUBJECTS:03d}_01f"
        first = 40 + index % 37
        rows.append((subject, film, None, first, first + 30, first + _FRAMES - 1, None, "4+L10", "disgust", 3))
        if index % 1000 == 999:
            continue
        folder = root / casme2_layout.FRAMES / f"sub{subject}" / film
        folder.mkdir(parents=True)
        for number in range(first, first + _FRAMES):
            if index % 100 != 50 or number != first + 20:
                os.close(os.open(folder / f"img{number}.jpg", os.O_CREAT | os.O_WRONLY))
    header = ("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units")
    header = (*header, "Estimated Emotion", "Objective Classes")
    workbook.write(root / casme2_layout.SHEET, {"Sheet1": [header, *rows]})


def _measure(root: Path, output: Path) -> tuple[float, float, float]:
    """Seconds, of them those of the processor, and megabytes at most, of `manifest build`."""
    command = [sys.executable, "-m", "mepipe", "manifest", "build", "casme2", "--root", str(root), "-o", str(output)]
    metered = [sys.executable, "-c", _METER, *command]
    status, *used = map(float, subprocess.run(metered, capture_output=True, check=True, text=True).stdout.split())
    if status != 1:  # rows were left out
        msg = f"{' '.join(command)} ended with {status:.0f}"
        raise RuntimeError(msg)
    seconds, cpu, megabytes = used
    return seconds, cpu, megabytes
