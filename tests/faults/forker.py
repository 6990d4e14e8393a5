"""A process that has imported mepipe, and forks one real process for every command: hundreds of them in a minute.

It makes no thread and opens no store itself, so that a fork is as good as a fresh interpreter. Requests and answers
are lines of JSON on its standard streams.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import time
import traceback
from typing import Any

import cv2  # noqa: F401 - what follows is imported once, for all commands
import pandas  # noqa: F401
import threadpoolctl  # noqa: F401
import tqdm  # noqa: F401

import mepipe.cli.extract
import mepipe.cli.status
import mepipe.cli.store
import mepipe.datasets.clips
import mepipe.recipe.model
import mepipe.run.extract
import mepipe.run.why
import mepipe.store.verify  # noqa: F401
from mepipe import cli
from tests.faults import inject


def _forgo_privilege() -> None:
    """Give up what makes root more than the owner of its own files (capset(2), all sets empty)."""
    header, nothing = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _become(request: dict[str, Any]) -> None:
    """What a process is before its first instruction: session, streams, umask, group, limits, faults."""
    os.setsid()
    for stream, name in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o666), stream)
    os.environ.update(request["env"])
    os.umask(request["umask"])
    if request["group"] is not None:
        os.setgroups([request["group"]])
        _forgo_privilege()
    if request["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if request["fault"]:
        inject.install(json.dumps(request["fault"]))


def _child(request: dict[str, Any]) -> None:
    status = 70
    try:
        _become(request)
        if request["start"]:  # a moment agreed upon, so that several begin at once
            time.sleep(max(0.0, request["start"] - time.monotonic()))
        sys.argv = ["mepipe", *request["args"]]
        cli.main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(pid: int, timeout: float) -> int | str:
    """Exit status, negative where a signal ended it; "hangs" where nothing did in time."""
    end = time.monotonic() + timeout
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return "hangs"
        time.sleep(0.005)


def main() -> None:
    """Serve until the standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "pid" in request:
            answer: Any = _wait(request["pid"], request["timeout"])
        else:
            answer = os.fork()
            if answer == 0:
                _child(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
