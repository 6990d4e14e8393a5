"""Folds in processes: the same as one after another, and what happens to them when somebody kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from mepipe.errors import MepipeError
from tests.train.stand_in import ARGUMENTS, train

FILES = ("metrics.json", "predictions.csv", "folds/s0.json", "folds/s1.json", "folds/s2.json")


def test_the_number_of_processes_changes_nothing(root, tmp_path):
    for jobs in ("1", "3"):
        assert train(root, tmp_path / jobs, "--jobs", jobs).exit_code == 0
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes(), name


def test_what_goes_wrong_in_a_process_is_told_once(root, tmp_path):
    with pytest.raises(MepipeError, match=r"Fold s\d: the loss is not a number after epoch"):
        train(root, tmp_path / "run", "--jobs", "2", "--lr", "1e30")


def _children(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _running(root, folder, more=()):
    code = "from mepipe.cli import main; main()"
    arguments = [*ARGUMENTS, "--store", str(root), "--run", str(folder), "--epochs", "4000", "--jobs", "2", *more]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    while len(_children(process.pid)) < 2 and process.poll() is None:
        time.sleep(0.05)
    return process, _children(process.pid)


def test_a_process_that_is_killed_ends_the_run_with_advice(root, tmp_path):
    process, children = _running(root, tmp_path / "run")
    os.kill(children[0], signal.SIGKILL)
    assert "What was finished is kept" in process.communicate(timeout=30)[1]
    assert process.returncode == 1


def test_nothing_is_left_running_when_the_run_itself_is_killed(root, tmp_path):
    process, children = _running(root, tmp_path / "run")
    assert len(children) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in children)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_checkpoints_hold_what_was_trained_and_nothing_else(root, tmp_path):
    import torch
    from safetensors.torch import load_file

    from mepipe.models import configs, declare

    assert train(root, tmp_path / "run", "--checkpoints").exit_code == 0
    state = load_file(tmp_path / "run" / "checkpoints" / "s1.safetensors")
    learner = declare.get("mpt").build(configs.choose("mpt", "tiny"), ["a", "b", "c"], {}, 0)()
    trained = {name for name, p in learner.named_parameters() if p.requires_grad}
    assert trained <= state.keys()
    assert not state.keys() & {name for name, p in learner.named_parameters() if not p.requires_grad}
    missing, unexpected = learner.load_state_dict(state, strict=False)
    assert not unexpected
    assert not trained & set(missing)
    assert not torch.equal(state["head.weight"], torch.zeros_like(state["head.weight"]))
