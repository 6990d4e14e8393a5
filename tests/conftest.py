"""What several tests need: a small demo release, and a store extracted from it by the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("mepipe", deadline=None)  # machines are noisy: how long an example takes says nothing
settings.load_profile("mepipe")

SHARED = Path(__file__).parents[2] / "shared"


def mepipe(*args: object, check: bool = True, **env: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    variables = {**os.environ, **{k: str(v) for k, v in env.items()}}
    command = [sys.executable, "-m", "mepipe", *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


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
    mepipe("manifest", "build", "demo", **variables)
    mepipe("extract", "--dataset", "demo", **variables)
    return variables


@pytest.fixture(scope="session")
def faces() -> Path:
    """Real face clips, which the project does not carry."""
    folder = SHARED / "data" / "faces"
    if not folder.is_dir():
        pytest.skip("needs the real face clips of ../shared/data/faces")
    return folder
