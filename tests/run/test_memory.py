"""The memory of a worker does not follow the length of a video, and of the longest clips it is bounded.

A worker is measured as `mepipe extract -j 0`, which does in one process what a worker does, and what comes before.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe.datasets.demo import render
from mepipe.datasets.demo.portraits import someone
from mepipe.datasets.manifest import Sample, dump

BOUND = 1.5 * 2**30  # bytes: what is promised for a worker
HERE = Path(__file__).parent
RECIPE = (HERE.parents[1] / "pipelines" / "features.yaml").read_text()
CHEAP = """
name: cheap
nodes:
  glance: {stage: glance-for-tests, input: source, store: true}
"""
_METER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def film(file: Path, frames: int, size: tuple[int, int], face: bool = False) -> None:
    """A video of so many frames, (width, height): a face at rest on a grey ground, or noise."""
    width, height = size
    if face:
        spec = render.ClipSpec(someone(0, 0), aus="12", peak=1.0, frames=4, apex=2, head_motion=0.2)
        pictures = [cv2.copyMakeBorder(p, *_border(p.shape, size), cv2.BORDER_REPLICATE) for p in render.clip(spec)[0]]
    else:
        pictures = list(np.random.default_rng(0).integers(40, 200, (4, height, width), np.uint8))
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 200, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(cv2.cvtColor(pictures[min(index % 6, 6 - index % 6)], cv2.COLOR_GRAY2BGR))
    writer.release()


def _border(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    down, across = size[1] - shape[0], size[0] - shape[1]
    return down // 2, down - down // 2, across // 2, across - across // 2


def peak(folder: Path, frames: int, recipe: str) -> int:
    """Bytes that a process takes at most that extracts the first frames of film.mp4; it must succeed."""
    sample = Sample(id="s", subject="x", clip="film.mp4", onset=0, apex=2, offset=frames - 1, fps=200)
    (folder / "films.csv").write_text(dump([sample]))
    (folder / "long.yaml").write_text(recipe)
    given = ("-m", folder / "films.csv", "-r", folder / "long.yaml", "--store", folder / f"s{frames}", "-j", "0")
    environment = {**os.environ, "MEPIPE_STAGES": str(HERE / "extra_stages"), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-c", _METER, sys.executable, "-m", "mepipe", "extract", *map(str, given)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    status, kilobytes = map(int, done.stdout.split())
    assert status == 0, done.stderr
    return 1024 * kilobytes


def test_memory_follows_what_stages_keep_and_not_what_is_decoded(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", 240, (640, 480))
    short, long = (peak(tmp_path, frames, CHEAP) for frames in (24, 240))
    decoded = (240 - 24) * 640 * 480  # bytes, were the whole clip held, in one channel only
    assert long - short < decoded / 4


@pytest.mark.slow
def test_a_worker_at_a_clip_of_3000_frames_of_1280_x_720_stays_below_its_bound(tmp_path: Path) -> None:
    film(tmp_path / "film.mp4", 3000, (1280, 720), face=True)
    assert peak(tmp_path, 3000, RECIPE) < BOUND
