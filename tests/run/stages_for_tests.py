"""Two real, cheap stages, so that the engine can be killed hundreds of times without importing a face model.

`install` puts them beside mepipe's own. Run as a script it is an extraction to be killed:
python stages_for_tests.py STORE ROOT MANIFEST WORKERS
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
from pydantic import Field

import mepipe.stages
from mepipe import store as stores
from mepipe.clip import Clip
from mepipe.datasets import manifest as manifests
from mepipe.errors import SampleError
from mepipe.recipe.model import parse
from mepipe.recipe.resolve import resolve
from mepipe.run import extract as run
from mepipe.run import plan
from mepipe.run.plan import Plan
from mepipe.stages.declare import Output, Params, Source, Stage

RECIPE = """
name: cheap
nodes:
  cut: {stage: cut-for-tests, input: source, store: true}
  mean: {stage: mean-for-tests, input: cut, store: float16}
"""
KILLS, HANGS, KILLS_ONCE = 1, 2, 3  # the brightest grey of such clips


class CutParams(Params):
    size: int = Field(16, description="px")


class MeanParams(Params):
    scale: float = Field(1.0, description="factor")


def cut(source: Source, params: CutParams) -> Clip:
    """Cut a corner out of every frame; black frames fail, dark ones kill the process, or hang."""
    pairs = [(n, f[: params.size, : params.size]) for n, f in source.frames]
    frames = np.stack([f for _, f in pairs])
    if frames.max() == 0:
        msg = "cut: the clip is black. Switch on the light."
        raise SampleError(msg)
    if frames.max() == KILLS or (frames.max() == KILLS_ONCE and _first_time()):
        os.kill(os.getpid(), signal.SIGKILL)
    if frames.max() == HANGS:
        time.sleep(3600)
    time.sleep(0.02)
    position = np.array([n for n, _ in pairs], np.float64)
    return Clip(frames, position, source.fps, source.onset, source.apex, source.offset)


def _first_time() -> bool:
    try:
        Path(os.environ["MARK_FOR_TESTS"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def mean(clip: Clip, params: MeanParams) -> np.ndarray:
    """Mean frame, from onset to apex where there is one."""
    end = len(clip) if clip.apex is None else clip.apex - clip.onset + 1
    return clip.frames[:end].mean(axis=0, dtype=np.float32) * np.float32(params.scale)


CUT = Stage(
    name="cut-for-tests",
    version=1,
    params=CutParams,
    inputs=("source",),
    output=lambda p: Output("clip", ("frame", "y", "x", "channel"), "uint8", "grey level", True),
    compute=cut,
    shape=lambda p, source: (p.size, p.size, 1),
    timeline=lambda p, annotation, position: position,
)
MEAN = Stage(
    name="mean-for-tests",
    version=1,
    params=MeanParams,
    inputs=("clip",),
    output=lambda p: Output("array", ("y", "x", "channel"), "float32", "grey level", True),
    compute=mean,
    shape=lambda p, clip: clip,
    reads=lambda p: ("apex",),
)


def install() -> None:
    """Make both known to mepipe, by modules of the right names on the path of mepipe.stages."""
    folder = str(Path(__file__).parent / "extra_stages")
    os.environ["MEPIPE_STAGES"] = folder  # for worker processes
    if folder not in mepipe.stages.__path__:
        mepipe.stages.__path__.append(folder)


install()


def make_plan(
    store: Path | str, root: Path, manifest: Path, retry: bool = False, upstream: str = "", **overrides: dict
) -> Plan:
    """The plan of extracting both features."""
    nodes = resolve(parse(RECIPE, "cheap"), overrides)
    samples = manifests.read(manifest)
    return plan.make(
        stores.create(store), "tiny", samples, root, nodes, list(nodes), retry_failed=retry, upstream=upstream
    )


def extract(
    store: Path | str, root: Path, manifest: Path, workers: int, retry: bool = False, **overrides: dict
) -> run.Summary:
    """Extract both features."""
    return run.run(make_plan(store, root, manifest, retry, **overrides), "cheap", workers)


if __name__ == "__main__":
    extract(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))


def write_release(root: Path, count: int, step: int = 5, last_black: bool = False) -> tuple[Path, Path]:
    """Clips of 6, 6 + step, ... frames from 10 on, as PNG folders, and their manifest."""
    import cv2

    from mepipe.datasets.manifest import Sample, dump

    rng = np.random.default_rng(3)
    samples = []
    for i in range(count):
        folder = root / "release" / f"clip{i}"
        folder.mkdir(parents=True)
        for n in range(10, 16 + step * i):
            frame = rng.integers(50, 200, (24, 32), np.uint8)
            cv2.imwrite(str(folder / f"img{n}.png"), frame * (not last_black or i < count - 1))
        end = 15 + step * i
        samples.append(Sample(id=f"s{i}", subject="x", clip=f"clip{i}", onset=10, apex=12, offset=end, fps=200))
    manifest = root / "tiny.csv"
    manifest.write_text(dump(samples))
    return root / "release", manifest
