"""Samples that are one clip: the same files, overlapping parts of one recording, the same pictures again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 1024  # so many marks are compared with so many others at once, in 60 MB


def same_files(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Pairs of samples whose frames have the same digest; of several, each with the first."""
    first: dict[str, str] = {}
    for sample, digest in zip(table.index, table["frames"], strict=True):
        if digest and first.setdefault(digest, sample) != sample:
            yield first[digest], sample


def overlapping(table: pd.DataFrame, least: float) -> Iterator[tuple[str, str, float]]:
    """Pairs of samples cut from one recording whose frames are in part the same, and that part of the shorter one's,
    where it is more than `least`; not where it is all of both, which is the same clip twice."""
    clips: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for sample, clip, onset, offset in zip(table.index, table["clip"], table["onset"], table["offset"], strict=True):
        clips[clip].append((int(onset), int(offset), str(sample)))
    for spans in clips.values():
        spans.sort()
        for index, (onset, offset, sample) in enumerate(spans):
            for later, end, other in spans[index + 1 :]:
                if later > offset:
                    break
                shared = min(offset, end) - later + 1
                share = shared / min(offset - onset + 1, end - later + 1)
                if share > least and (onset, offset) != (later, end):
                    yield sample, other, share


def alike(marks: Mapping[str, np.ndarray], least: float) -> Iterator[tuple[str, str, float]]:
    """Pairs of samples whose marks (`pictures.mark`) have a product of more than `least`, and that product."""
    names = list(marks)

    def block(start: int) -> np.ndarray:
        return np.stack([marks[name] for name in names[start : start + _BLOCK]]).astype(np.float32)

    for first in range(0, len(names), _BLOCK):
        rows = block(first)
        for second in range(first, len(names), _BLOCK):
            products = rows @ block(second).T
            for row, column in np.argwhere(products > least):
                if first + row < second + column:
                    yield names[first + row], names[second + column], float(products[row, column])


def of_each(pairs: Iterable[tuple[str, str, float]]) -> dict[str, tuple[float, str]]:
    """For each sample of a pair the largest value and with whom."""
    found: dict[str, tuple[float, str]] = {}
    for one, other, value in pairs:
        for sample, twin in ((one, other), (other, one)):
            if value > found.get(sample, (-np.inf, ""))[0]:
                found[sample] = (value, twin)
    return found
