"""What `mepipe qc` said of a dataset: qc/<dataset>.json in the store."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mepipe.store.place import Folder, Place

LIMIT = 64 << 20  # bytes


@dataclass(frozen=True)
class Checked:
    """The flags of a dataset's samples. snapshot: that they were found in; empty where nothing was, and perhaps why."""

    stamp: Hashable = None
    snapshot: str = ""
    thresholds: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def flags(self, sample: str) -> list[dict[str, Any]]:
        """The flags of one sample."""
        found: list[dict[str, Any]] = self.samples.get(sample, {}).get("flags", [])
        return found

    def score(self, sample: str) -> float | None:
        """How suspicious a sample is; None where it was not looked at."""
        found: float | None = self.samples.get(sample, {}).get("score")
        return found

    def by_flag(self, samples: Iterable[str]) -> dict[str, list[int]]:
        """{flag: the rows of the samples that have it}."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, sample in enumerate(samples):
            for flag in {flag["flag"] for flag in self.flags(sample)}:
                rows[flag].append(row)
        return {flag: rows[flag] for flag in sorted(rows)}


class Quality:
    """The flags of the datasets of a store, read again when the file is another."""

    def __init__(self, place: Place) -> None:
        self.folder = place.root.absolute() / "qc" if isinstance(place, Folder) else None
        self._known: dict[str, Checked] = {}

    def of(self, dataset: str) -> Checked:
        """What is known of a dataset."""
        if self.folder is None:
            return Checked()
        path = self.folder / f"{dataset}.json"
        try:
            facts = path.stat()
        except OSError:
            return Checked()
        stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
        known = self._known.get(dataset)
        if known is None or known.stamp != stamp:
            known = self._known[dataset] = _read(path, stamp)
        return known


def _read(path: Path, stamp: tuple[int, int, int]) -> Checked:
    if stamp[2] > LIMIT:
        return Checked(stamp, problem=f"{path} is larger than {LIMIT} bytes.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return Checked(stamp, problem=f"{path} cannot be read ({error}).")
    if not _sound(found):
        return Checked(stamp, problem=f"{path} is not as mepipe qc writes it.")
    return Checked(stamp, found["snapshot"], found["thresholds"], found["samples"])


def _sound(found: Any) -> bool:
    try:
        return (
            isinstance(found["snapshot"], str)
            and all(map(_threshold, found["thresholds"].values()))
            and all(_number(one["score"]) and all(map(_flag, one["flags"])) for one in found["samples"].values())
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _threshold(found: Any) -> bool:
    return _number(found["limit"]) and isinstance(found["why"], str)


def _flag(found: Any) -> bool:
    return (
        isinstance(found["flag"], str)
        and _threshold(found)
        and all(map(_number, (found["value"], found.get("at_ms", 0))))
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
