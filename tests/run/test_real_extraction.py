"""The whole pipeline, from frames to features, killed again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mepipe import store as stores
from mepipe.store.verify import verify
from tests.conftest import mepipe


@pytest.mark.slow
def test_ten_kills_leave_no_trace_in_the_features(workplace: dict[str, Path], tmp_path: Path) -> None:
    variables = {**os.environ, **{k: str(v) for k, v in workplace.items()}, "MEPIPE_STORE": str(tmp_path / "s.zarr")}
    command = [sys.executable, "-m", "mepipe", "extract", "--dataset", "demo"]
    begin = time.monotonic()
    mepipe("extract", "--dataset", "demo", **{**workplace, "MEPIPE_STORE": tmp_path / "timed.zarr"})
    duration = time.monotonic() - begin
    rng = np.random.default_rng(2)
    for _ in range(10):
        process = subprocess.Popen(command, env=variables, start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(float(rng.uniform(0.2, 0.9)) * duration)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    mepipe("extract", "--dataset", "demo", **{**workplace, "MEPIPE_STORE": tmp_path / "s.zarr"})
    killed, whole = stores.open(tmp_path / "s.zarr"), stores.open(workplace["MEPIPE_STORE"])
    for node, feature in whole.features("demo").items():
        other = killed.features("demo")[node]
        assert other.key == feature.key
        assert verify(other) == {}
        for sample in feature.ids:
            np.testing.assert_array_equal(other[sample], feature[sample])
