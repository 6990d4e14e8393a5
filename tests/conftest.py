"""What several tests need: a small demo release, and a store extracted from it by the command line."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

# Machines are noisy: how long an example takes says nothing.
settings.register_profile("mepipe", deadline=None, max_examples=200)
settings.load_profile("mepipe")

SHARED = Path(__file__).parents[2] / "shared"
MODEL = SHARED / "models" / "face_landmarker.task"
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs Torch")


def mepipe(*args: object, check: bool = True, **env: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    variables = {**os.environ, **{k: str(v) for k, v in env.items()}}
    command = [sys.executable, "-m", "mepipe", *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def has_solutions() -> bool:
    """Whether this MediaPipe has the face mesh of its own; version 1 has not."""
    found = importlib.util.find_spec("mediapipe")
    return (Path(found.origin).parent / "python" / "solutions").is_dir()


def landmarker_here() -> str:
    """The landmarker that this environment can have; the test is skipped where it has none.

    With "face-landmarker", MEPIPE_WEIGHTS has to name the folder of `MODEL`, which the project does not carry.
    """
    if has_solutions():
        return "facemesh"
    if not MODEL.is_file():
        pytest.skip("mediapipe 1 has no face mesh of its own, and there is no ../shared/models/face_landmarker.task")
    return "face-landmarker"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo release in SAMM's layout: two subjects, three clips each and one more."""
    from mepipe.datasets import demo as demos

    root = tmp_path_factory.mktemp("demo") / "release"
    demos.write(root, "samm", subjects=2, clips=3, seed=1, workers=2)
    return root


@pytest.fixture(scope="session")
def workplace(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """MEPIPE_* variables of a place of work: manifest built, features extracted into its store."""
    place = tmp_path_factory.mktemp("work")
    variables = {
        "MEPIPE_MANIFESTS": place / "manifests",
        "MEPIPE_STORE": place / "features.zarr",
        "MEPIPE_RUNS": place / "runs",
        "MEPIPE_ROOT_DEMO": demo,
        "XDG_CACHE_HOME": place / "xdg",
    }
    recipe: object = "features"
    if landmarker_here() == "face-landmarker":
        variables["MEPIPE_WEIGHTS"] = MODEL.parent
        nodes = yaml.safe_load((Path(__file__).parents[1] / "pipelines" / "features.yaml").read_text())
        nodes["nodes"]["align"]["params"] = {"landmarker": "face-landmarker"}
        recipe = place / "features.yaml"
        recipe.write_text(yaml.safe_dump(nodes, sort_keys=False))
    mepipe("manifest", "build", "demo", **variables)
    mepipe("extract", "--dataset", "demo", "--recipe", recipe, **variables)
    return variables


@pytest.fixture(scope="session")
def faces() -> Path:
    """Real face clips, which the project does not carry."""
    folder = SHARED / "data" / "faces"
    if not folder.is_dir():
        pytest.skip("needs the real face clips of ../shared/data/faces")
    return folder
