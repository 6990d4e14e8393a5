from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mepipe import networks
from tests.conftest import mepipe


def test_help_and_list_import_no_torch() -> None:
    for arguments in (["weights", "--help"], ["weights", "ls"]):
        code = (
            f"import sys; from mepipe.cli import cli\ntry: cli({arguments})\nexcept SystemExit: pass\n"
            "heavy = {'torch', 'pooch', 'cv2', 'zarr'} & set(sys.modules)\nassert not heavy, heavy"
        )
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_list_says_what_is_there_and_where_the_rest_is(tmp_path: Path) -> None:
    (tmp_path / "epoch50.tar").touch()
    result = mepipe("weights", "ls", "--json", MEPIPE_WEIGHTS=tmp_path)
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["magnet-postech"]["file"] == str(tmp_path / "epoch50.tar")
    assert rows["flownet2"]["file"] is None
    text = mepipe("weights", "ls", MEPIPE_WEIGHTS=tmp_path).stdout
    for part in (str(tmp_path / "epoch50.tar"), "FlowNet2_checkpoint.pth.tar", "NVIDIA/flownet2-pytorch", "licence"):
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("weights", "add", "raft-smal", "a.pth"), 2, "Did you mean 'raft-small'"),
        (("weights", "add", "raft-small", "none.pth"), 2, "No checkpoint file at none.pth"),
        (("weights", "add", "raft-small", "own.pth"), 1, "begins with 01064c6d"),
        (("weights", "add", "flownet2s", "own.pth"), 1, "own.pth is no checkpoint of flownet2s"),
        (("weights", "fetch", "flownet2"), 2, "no direct download"),
        (("flow", "--dataset", "demo", "--backend", "raft-small"), 2, "mepipe weights fetch raft-small"),
        (("flow", "--dataset", "demo", "--backend", "raft-small", "--preset", "opencv"), 2, "belongs to tvl1"),
    ],
)
def test_a_mistake_gives_a_clear_line_and_no_traceback(
    arguments: tuple[str, ...], status: int, message: str, tmp_path: Path
) -> None:
    torch.save(networks.build("raft_small").state_dict(), tmp_path / "own.pth")
    arguments = tuple(str(tmp_path / a) if a == "own.pth" else a for a in arguments)
    place = {"MEPIPE_WEIGHTS": tmp_path / "w", "MEPIPE_ROOT_DEMO": tmp_path, "MEPIPE_STORE": tmp_path / "s"}
    result = mepipe(*arguments, check=False, **place)
    assert result.returncode == status
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "w").exists()
    assert not (tmp_path / "s").exists()
