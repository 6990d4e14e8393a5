"""Faults injected from outside: an audit hook that counts what a process does to a store, and ends it at one of these.

A state of the disk lies between two steps, and a step is anything that changes names, modes or contents. Python tells
audit hooks of all of them but of writing. Hence two ways to die at step n: `kill`, before it is taken; and `tear`, in
the midst of the next write after it, where the kernel lets so many bytes of the file through and then kills.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import sys
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STEPS = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.truncate"}


def step(event: str, args: tuple[Any, ...], store: str) -> str | None:
    """The path that an audit event is about to change, if it is one below the store."""
    if event not in _STEPS and not (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
        return None
    paths = [os.fsdecode(a) for a in args[:2] if isinstance(a, (str, bytes, os.PathLike))]
    return next((p for p in reversed(paths) if p.startswith(store)), None)


def install(text: str) -> None:
    """Arm this process. text: JSON of {store, at: step (0: never), bytes: absent to kill, else to tear, log: file}."""
    fault = json.loads(text)
    store = fault["store"]
    count = itertools.count(1)
    log = os.open(fault["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND) if fault.get("log") else None
    if fault.get("bytes") is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        path = step(event, args, store)
        if path is None:
            return
        if log is not None:
            os.write(log, f"{event} {path[len(store) :]}\n".encode())
        if next(count) != fault["at"]:
            return
        if fault.get("bytes") is None:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault["bytes"], resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    sys.addaudithook(hook)
