"""The log of runs, in the store: one small file for each, written once, when the run ends, however it ends.

They lie among a dataset's refs, `refs/<dataset>/<when>-<uuid>.run`, which nothing else reads, and stay. A run that is
killed leaves none; what it finished is in the ledgers all the same.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mepipe import __version__
from mepipe.errors import MepipeError
from mepipe.store import Store, layout

if TYPE_CHECKING:
    from mepipe.run.extract import Summary
    from mepipe.run.plan import Plan

_SUFFIX = ".run"
_REASONS = 50  # kept of those that samples failed for, the most frequent


def write(plan: Plan, summary: Summary, recipe: str, began: float, ended: str) -> None:
    """Keep what a run did. ended: "complete", or what stopped it. A store that takes no more files gets none."""
    libraries: dict[str, str] = {}
    for node in plan.nodes.values():
        libraries |= node.lineage["libraries"]
    reasons = Counter(reason for reason in summary.failed_samples.values())
    about = {
        "began": began,
        "ended": ended,
        "wall": round(summary.wall, 3),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "versions": {"mepipe": __version__, "python": platform.python_version(), **libraries},
        "by": summary.by,
        "device": plan.device,
        "recipe": recipe,
        "snapshot": plan.snapshot,
        "features": {name: plan.nodes[name].folder for name in plan.stored},
        "samples": summary.samples,
        "computed": dict(summary.computed),
        "cached": summary.cached,
        "adopted": summary.adopted,
        "upstream": summary.upstream,
        "failed": {name: len(failed) for name, failed in summary.failed.items()},
        "reasons": dict(reasons.most_common(_REASONS)),
        "seconds": {stage: round(seconds, 3) for stage, seconds in summary.seconds.items()},
        "bytes": summary.written,
    }
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    folder = f"refs/{plan.dataset}"
    with suppress(MepipeError, OSError):  # a disk that is full has been told of
        layout.make_plain_folder(plan.store.place, folder)
        content = json.dumps(about, indent=1).encode()
        plan.store.place.write(f"{folder}/{when}-{uuid.uuid4().hex[:8]}{_SUFFIX}", content)


def read(store: Store, dataset: str) -> list[dict[str, Any]]:
    """The runs over a dataset, the oldest first; what is damaged is left out."""
    found: list[dict[str, Any]] = []
    for name in sorted(n for n in store.place.children(f"refs/{dataset}") if n.endswith(_SUFFIX)):
        with suppress(OSError, ValueError, RecursionError):
            about = json.loads(store.place.read(f"refs/{dataset}/{name}"))
            if isinstance(about, dict) and _sound(about):
                found.append(about)
    return found


def _sound(about: Mapping[str, Any]) -> bool:
    kinds: dict[str, Any] = {"began": (int, float), "wall": (int, float), "ended": str, "host": str, "by": str}
    kinds |= {"recipe": str, "snapshot": str, "computed": dict, "failed": dict, "seconds": dict}
    if not all(isinstance(about.get(name), kind) for name, kind in kinds.items()):
        return False
    if not all(value.isprintable() for value in about.values() if isinstance(value, str)):
        return False  # it ends up on terminals
    return {type(count) for name in ("computed", "failed") for count in about[name].values()} <= {int}
