"""Where stages compute: who is told, who is not, and that no key knows.

"cpu:0" is Torch's own name for the processor: what would go to a GPU goes through Torch, here.
"""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe import settings, stages
from mepipe import store as stores
from mepipe.clip import Clip
from mepipe.datasets.manifest import Sample
from mepipe.errors import UsageError
from mepipe.recipe.model import parse
from mepipe.recipe.resolve import resolve
from mepipe.run import devices, extract, plan
from mepipe.stages import declare
from tests.conftest import mepipe, needs_torch
from tests.run import stages_for_tests

RECIPE = """
name: where
nodes:
  cut: {stage: cut-for-tests, input: source, store: true}
  where: {stage: where-for-tests, input: cut, store: true}
"""
NO_GPU = pytest.mark.skipif(devices.count() > 0, reason="needs a machine without a GPU")


@pytest.fixture
def release(tmp_path: Path) -> tuple[Path, list[Sample]]:
    """Two clips of three frames."""
    for name in ("a", "b"):
        (tmp_path / "release" / name).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(tmp_path / "release" / name / f"{number}.png"), np.full((24, 32), 99 + number, np.uint8))
    samples = [Sample(id=name, subject="x", clip=name, onset=0, apex=1, offset=2, fps=200) for name in ("a", "b")]
    return tmp_path / "release", samples


def run(store: Path, release: tuple[Path, list[Sample]], device: str, workers: int) -> extract.Summary:
    stages_for_tests.install()
    root, samples = release
    nodes = resolve(parse(RECIPE, "where"))
    todo = plan.make(stores.create(store), "tiny", samples, root, nodes, list(nodes), device=device)
    return extract.run(todo, "where", workers)


@needs_torch
@pytest.mark.parametrize("workers", [1, 2])
def test_stages_that_can_choose_are_told_the_device(
    release: tuple[Path, list[Sample]], tmp_path: Path, workers: int
) -> None:
    summary = run(tmp_path / "store", release, "cpu:0", workers)
    assert summary.computed == {"cut": 2, "where": 2}  # cut cannot choose: told a device, it would fail
    told = stores.open(tmp_path / "store").feature("tiny/where")["b"]
    assert bytes(told).strip() == b"cpu:0"
    records = stores.open(tmp_path / "store").feature("tiny/where").records
    assert records["b"].host == f"{socket.gethostname()}, cpu:0"


def test_the_device_is_not_part_of_a_key(release: tuple[Path, list[Sample]], tmp_path: Path) -> None:
    run(tmp_path / "store", release, "cpu", 1)
    again = run(tmp_path / "store", release, "cpu:0", 1)
    assert (again.computed, again.cached) == ({}, {"cut": 2, "where": 2})


@pytest.mark.parametrize("name", [name for name in stages.names() if not name.endswith("-for-tests")])
def test_a_stage_takes_a_device_just_where_it_says_so(name: str) -> None:
    stage = declare.get(name)
    takes = inspect.signature(stage.compute).parameters.get("device")
    assert stage.on_device == (takes is not None)
    assert takes is None or takes.default == "cpu"


@needs_torch
@pytest.mark.parametrize(
    # Greys are in 0..1: a hundredth of a level of 255. Flow in pixels and strain of it: see tests/ops.
    ("name", "tolerance"),
    [("flow", 0.02), ("strain", 1e-5), ("magnify-eulerian", 4e-5)],
)
def test_a_stage_gives_the_same_on_a_device_up_to_its_tolerance(name: str, tolerance: float) -> None:
    stage = declare.get(name)
    texture = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 255, (48, 64)), (0, 0), 2).clip(0, 255)
    frames = np.stack([np.roll(texture, shift, axis=1) for shift in (0, 0, 1, 1)]).astype(np.uint8)
    clip = Clip(np.repeat(frames[..., None], 3, axis=3), np.arange(4.0), 200.0, 0, 2, 3)
    given = clip if stage.inputs == ("clip",) else np.random.default_rng(1).normal(size=(3, 2, 48, 64)).astype("f4")
    one, other = (stage.compute(given, stage.params(), device=device) for device in ("cpu", "cpu:0"))
    one, other = (value.frames if isinstance(value, Clip) else value for value in (one, other))
    assert other.dtype == one.dtype
    assert np.abs(one - other).mean() < tolerance
    assert not np.array_equal(one, 0 * one)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", "CUDA", "cuda:-1", ""])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Devices are: cpu, cuda"):
        devices.check(name)


@NO_GPU
@needs_torch
@pytest.mark.parametrize("arguments", [("extract",), ("strain",)])
def test_without_a_gpu_an_extraction_says_what_torch_sees_and_does_not_begin(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    result = mepipe(*arguments, "--dataset", "none", "--device", "cuda:1", "--store", store, check=False)
    assert result.returncode == 2
    assert "'cuda:1'" in result.stderr
    assert "sees no GPU" in result.stderr
    assert "Traceback" not in result.stderr
    assert not store.exists()


def test_settings_name_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEPIPE_DEVICE", raising=False)
    assert settings.load().device == "cpu"
    (tmp_path / "mepipe.toml").write_text('device = "cuda"\n')
    assert settings.load().device == "cuda"
    monkeypatch.setenv("MEPIPE_DEVICE", "cuda:1")
    assert settings.load().device == "cuda:1"


def test_torch_is_not_imported_for_the_processor() -> None:
    program = (
        "import sys; from mepipe.run import devices, executors;"
        "devices.check('cpu'); devices.prepare('cpu'); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.skipif(devices.count() == 0, reason="needs a GPU that Torch sees")
@pytest.mark.parametrize("name", ["flow", "strain", "magnify-eulerian"])
def test_a_gpu_gives_the_same_bits_again(name: str) -> None:
    stage = declare.get(name)
    rng = np.random.default_rng(0)
    clip = Clip(rng.integers(0, 255, (4, 48, 64, 3), np.uint8), np.arange(4.0), 200.0, 0, 2, 3)
    given = clip if stage.inputs == ("clip",) else rng.normal(size=(3, 2, 48, 64)).astype("f4")
    devices.check("cuda")
    devices.prepare("cuda")
    one, again = (stage.compute(given, stage.params(), device="cuda") for _ in range(2))
    one, again = (value.frames if isinstance(value, Clip) else value for value in (one, again))
    np.testing.assert_array_equal(one, again)
