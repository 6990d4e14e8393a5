"""A Dask cluster of real processes on this machine: bytes as ever, whatever of it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.lab import Lab, Running, differences

pytest.importorskip("distributed", reason="needs Dask's scheduler: pip install 'mepipe[dask]'")

PAUSE = 0.3  # seconds that a clip takes, so that there is time to kill


def until(what: Callable[[], object], limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)


@dataclass
class Cluster:
    """`dask scheduler` and `dask worker`, each as a person starts them."""

    lab: Lab
    folder: Path
    port: int = 0
    scheduler: subprocess.Popen[bytes] = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start("scheduler", "--port", self.port, "--no-dashboard", "--scheduler-file", file)
        until(lambda: file.exists() and file.read_text().endswith("}"))
        self.port = int(json.loads(file.read_text())["address"].rpartition(":")[2])

    def start_worker(self, *options: object) -> None:
        given = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", self.folder, *options)
        self.workers.append(self._start("worker", self.url, *given))

    def _start(self, kind: str, *options: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, "--host", "127.0.0.1", *map(str, options)]
        log = (self.folder / f"{kind}.log").open("ab")
        environment = self.lab.environment(LAB_PAUSE=PAUSE)
        return subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
        )

    def extract(self, store: Path, *more: object) -> Running:
        """Start an extraction on it."""
        arguments = self.lab.extraction(store, "--scheduler", self.url, *more)
        at = arguments.index("-j")
        return self.lab.start(*arguments[:at], *arguments[at + 2 :])

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers; who kills one starts another."""
    cluster = Cluster(lab, tmp_path_factory.mktemp("cluster"))
    cluster.start_scheduler()
    try:
        for _ in range(2):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.close()


def recorded(store: Path) -> int:
    return len(list(store.glob("tiny@*/mean-*/ledger/*.jsonl")))


def test_a_cluster_gives_the_same_bytes(whole: Path, cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.extract(tmp_path / "s", "--json").result()
    assert done.status == 0, done
    assert json.loads(done.out)["computed"] == {"cut": 6, "mean": 6}
    assert differences(whole, tmp_path / "s") == []


def test_ctrl_c_stops_a_cluster_at_this_work_and_the_store_completes(
    lab: Lab, whole: Path, cluster: Cluster, tmp_path: Path
) -> None:
    run = cluster.extract(tmp_path / "s")
    until(lambda: recorded(tmp_path / "s"))
    os.kill(run.pid, signal.SIGINT)
    done = run.result()
    assert done.status == 130, done
    assert "Stopped. What was finished is kept" in done.err
    assert "Traceback" not in done.err
    time.sleep(2 * PAUSE)  # as long as what was not stopped would take
    assert recorded(tmp_path / "s") < 6
    lab.complete(tmp_path / "s")
    assert differences(whole, tmp_path / "s") == []


def test_a_worker_that_is_killed_costs_nothing_but_time(whole: Path, cluster: Cluster, tmp_path: Path) -> None:
    run = cluster.extract(tmp_path / "s")
    until(lambda: recorded(tmp_path / "s"))
    os.killpg(cluster.workers.pop().pid, signal.SIGKILL)
    done = run.result()
    assert done.status == 0, done
    assert differences(whole, tmp_path / "s") == []


def test_a_scheduler_that_is_killed_and_started_again_loses_nothing(
    whole: Path, cluster: Cluster, tmp_path: Path
) -> None:
    run = cluster.extract(tmp_path / "s")
    until(lambda: recorded(tmp_path / "s"))
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    cluster.scheduler.wait()
    cluster.start_scheduler()
    cluster.start_worker()  # the others ended with their scheduler
    done = run.result()
    assert done.status == 0, done
    assert "The scheduler is lost" in done.err
    assert "samples to go" in done.err
    assert differences(whole, tmp_path / "s") == []
