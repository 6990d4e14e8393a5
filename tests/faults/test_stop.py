"""Ctrl-C: an extraction stops, with its workers, and leaves a store that completes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.lab import Lab, differences

PAUSE = 30  # seconds that a clip takes: nobody may wait for one


@pytest.mark.parametrize("who", [("-j", "2"), ("-j", "0"), ("--dask", "2")], ids=["processes", "inline", "dask"])
def test_ctrl_c_ends_a_run_and_its_workers_at_once(lab: Lab, whole: Path, tmp_path: Path, who: tuple[str, str]) -> None:
    if who[0] == "--dask":
        pytest.importorskip("distributed", reason="needs Dask's scheduler: pip install 'mepipe[dask]'")
    arguments = lab.extraction(tmp_path / "s")
    at = arguments.index("-j")
    command = [sys.executable, "-m", "mepipe", *arguments[:at], *arguments[at + 2 :], *who]
    log = tmp_path / "log"
    environment = lab.environment(LAB_PAUSE=PAUSE, LAB_LOG=log)
    run = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not log.exists():  # a clip is being computed
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of its processes
    start = time.monotonic()
    _, err = run.communicate(timeout=PAUSE)
    took = time.monotonic() - start
    assert run.returncode == 130, err
    assert "Stopped. What was finished is kept" in err
    assert "Traceback" not in err
    assert took < PAUSE / 3  # two seconds are promised, on a machine that does nothing else
    pids = [int(line) for line in log.read_text().split()]
    assert not [pid for pid in pids if alive(pid)]
    lab.complete(tmp_path / "s")
    assert differences(whole, tmp_path / "s") == []


def alive(pid: int) -> bool:
    """Whether a process is there and computes; a moment is allowed for its end."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except FileNotFoundError:
            return False
        time.sleep(0.02)
    return True
