from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import mepipe


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mepipe.cli import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'cv2', 'mediapipe', 'zarr', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("command", ["extract", "flow", "align", "magnify", "train", "inspect", "store", "manifest"])
def test_help_of_a_command_imports_no_model_and_no_decoder(command: str) -> None:
    code = (
        f"import sys; from mepipe.cli import cli\ntry: cli(['{command}', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'mediapipe', 'zarr', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("extrct",), "Did you mean 'extract'"),
        (("extract",), "Say --dataset NAME or --manifest FILE"),
        (("extract", "--dataset", "demo", "--recipe", "featres"), "Did you mean 'features'"),
        (("extract", "--dataset", "nobody"), "mepipe manifest build nobody"),
        (("extract", "--dataset", "../x"), "cannot name a dataset"),
        (("extract", "--manifest", "none.csv"), "No manifest at none.csv"),
        (("manifest", "build", "sam"), "Did you mean 'samm'"),
        (("manifest", "build", "samm"), "MEPIPE_ROOT_SAMM"),
        (("store", "ls", "--store", "nothing"), "No store at nothing"),
        (("train", "mpt", "--dataset", "demo"), "No store at"),
    ],
)
def test_a_mistake_gives_a_clear_line_and_no_traceback(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mepipe", *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_plan_is_shown_and_nothing_is_written(workplace: dict[str, Path], tmp_path: Path) -> None:
    result = mepipe("extract", "--dataset", "demo", "--dry-run", "--json", "--store", tmp_path / "s", **workplace)
    assert len(json.loads(result.stdout)["compute"]) == 7
    assert "7 clips x 7 features: 0 cached, 49 to compute" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_second_extract_finds_everything(workplace: dict[str, Path]) -> None:
    result = mepipe("extract", "--dataset", "demo", "--json", **workplace)
    summary = json.loads(result.stdout)
    assert (summary["computed"], summary["failed"]) == ({}, {})
    assert set(summary["cached"].values()) == {7}
    assert mepipe("status", **workplace).returncode == 0


def test_one_stage_with_another_parameter_stands_beside(workplace: dict[str, Path], tmp_path: Path) -> None:
    sample = json.loads(mepipe("extract", "-d", "demo", "-n", "--json", "--store", tmp_path, **workplace).stdout)
    name = next(iter(sample["compute"]))
    result = mepipe("rank-pool", "-d", "demo", "--sample", name, "--method", "exact", "--json", **workplace)
    feature = json.loads(result.stdout)["features"]["rank-pool"]
    assert json.loads(mepipe("store", "info", feature, "--json", **workplace).stdout)["params"]["method"] == "exact"
    default = json.loads(mepipe("store", "info", "demo/rank-pool", "--json", **workplace).stdout)
    assert default["params"]["method"] == "approximate"


def test_anyones_clips_go_through_and_the_one_without_a_face_is_named(faces: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "mine.csv"
    manifest.write_text(
        "clip,onset,apex,offset,fps\n"
        "grid_man_glasses_speaking_25fps.mpg,10,20,30,25\n"
        "hhoppe_no_face_seaside_loop.mp4,0,,19,30\n"
    )
    place = {"MEPIPE_STORE": tmp_path / "s.zarr", "XDG_CACHE_HOME": tmp_path}
    result = mepipe("extract", "--manifest", manifest, "--root", faces, check=False, **place)
    assert result.returncode == 1
    assert "hhoppe_no_face_seaside_loop" in result.stderr
    assert "No face" in result.stderr
    status = mepipe("status", "--json", check=False, **place)
    rows = {row["node"]: row for row in json.loads(status.stdout)}
    assert rows["flow.tvl1"]["done"] == 1
    assert mepipe("store", "verify", **place).returncode == 0
    picture = tmp_path / "picture.png"
    mepipe("inspect", "grid_man_glasses_speaking_25fps", "-o", picture, **place)
    mepipe("inspect", "hhoppe_no_face_seaside_loop", "-o", tmp_path / "none.png", **place)
    assert picture.stat().st_size > 100_000


def test_manifest_show_counts_classes(workplace: dict[str, Path]) -> None:
    about = json.loads(mepipe("manifest", "show", "demo", "--classes", "3", "--json", **workplace).stdout)
    assert about["samples"] == 7
    assert about["classes"] == {"negative": 2, "positive": 2, "surprise": 2}
    assert mepipe("manifest", "check", "demo", **workplace).returncode == 0
    assert mepipe("manifest", "diff", "demo", "demo", **workplace).returncode == 0


def test_settings_come_from_file_variables_and_options_in_this_order(tmp_path: Path) -> None:
    (tmp_path / "mepipe.toml").write_text('store = "from-file"\n[roots]\nsamm = "releases/samm"\n')
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MEPIPE_")}

    def complaint(*arguments: str, **extra: str) -> str:
        command = [sys.executable, "-m", "mepipe", *arguments]
        found = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env={**environment, **extra}, check=False
        )
        return found.stderr

    assert "No store at from-file" in complaint("store", "ls")
    assert "from-variable" in complaint("store", "ls", MEPIPE_STORE="from-variable")
    assert "No store at from-option" in complaint("store", "ls", "--store", "from-option", MEPIPE_STORE="x")
    assert "releases/samm" in complaint("manifest", "build", "samm")
    (tmp_path / "mepipe.toml").write_text('stroe = "x"\n')
    assert "Did you mean 'store'" in complaint("store", "ls")
