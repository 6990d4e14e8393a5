"""A feature's ledger: what happened to each sample. Immutable segment files; the state is their union.

A segment is written whole by one writer under a name of its own, never edited (its lines: `records`). For one sample
the record with the highest `turn` counts: a writer gives its record the turn after the one it knows of, so no clocks
are compared. Of two records with the same turn, `done` beats `failed` beats `damaged`: `done` is only ever written
after its data is on the disk.

Small segments are merged while they come, those of like size with each other, so that the ledger of a million samples
is some hundred files, and each record is rewritten three or four times in all.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain

from mepipe.store import records as lines
from mepipe.store.place import Place
from mepipe.store.records import STATES, Block, Record, State, States

__all__ = ["STATES", "Ledger", "Record", "State", "States"]

MERGE_ABOVE = 32  # segments of like size
MERGE_EVERY = 256  # segments that one writer adds
BLOCK = 32768  # records in a segment at most
FULL = 1_000_000  # bytes: a segment of this size is left as it is


class Ledger:
    """The ledger in one folder of a store. Any number of processes may append at once."""

    def __init__(self, place: Place, path: str) -> None:
        self.place = place
        self.path = path
        self._appended = 0

    def segments(self) -> list[str]:
        """Its segment files, in no order that means anything."""
        return [f"{self.path}/{name}" for name in self.place.children(self.path) if name.endswith(".jsonl")]

    def records(self) -> dict[str, Record]:
        """The state: for each sample that anything happened to, the record that counts."""
        return _best(self._blocks())

    def states(self) -> States:
        """The state in brief, of a million samples in about a second."""
        samples, ranks, told = self._brief()
        return _states(samples, ranks, told)

    def counts(self) -> tuple[Counter[State], dict[str, str]]:
        """How many samples are in each state, and the reasons of those that failed: in half the time of `states`."""
        samples, ranks, told = self._brief()
        if len(set().union(*samples)) == sum(map(len, samples)):
            codes = sum(map(Counter, ranks), Counter[int]())
            reasons = {sample: (code, reason) for sample, (code, _, reason) in told.items()}
        else:  # more was said of some than once
            states = _states(samples, ranks, told)
            codes = Counter(states.codes.values())
            reasons = {sample: (states.codes[sample], reason) for sample, reason in states.reasons.items()}
        counts: Counter[State] = Counter()
        for code, count in codes.items():
            counts[STATES[code % 3]] += count
        return counts, {sample: reason for sample, (code, reason) in reasons.items() if STATES[code % 3] == "failed"}

    def _brief(self) -> tuple[list[list[str]], list[list[int]], dict[str, tuple[int, float, str]]]:
        """Block by block the samples and their codes, and what is told of those that are not done."""
        samples: list[list[str]] = []
        ranks: list[list[int]] = []
        told: dict[str, tuple[int, float, str]] = {}
        for block in self._blocks():
            samples.append(block.samples)
            ranks.append(block.codes)
            for sample, reason in block.reasons():
                told[sample] = max(reason, told.get(sample, reason))
        return samples, ranks, told

    def damaged(self) -> dict[str, int]:
        """{segment: how many of its lines are not as they were written}."""
        found: dict[str, int] = {}
        for _ in self._blocks(found):
            pass
        return found

    def mend(self) -> None:
        """Write anew what is left of damaged segments, and remove them."""
        for path in self.damaged():
            content = self._content(path)
            if content is not None:
                self._write(list(_best(lines.parse(content, path)).values()))
                self.place.remove(path)

    def _blocks(self, damaged: dict[str, int] | None = None) -> Iterator[Block]:
        """All that the segments say, each read once, until two listings agree and nothing is left to read.

        One listing alone, made while segments are merged, may miss both the old ones and the new.
        """
        read: set[str] = set()
        before: list[str] | None = None
        while True:
            listed = self.segments()
            gone = False
            for path in listed:
                if path in read:
                    continue
                content = self._content(path)
                if content is None:  # merged away: what it said is in a newer segment
                    gone = True
                    continue
                read.add(path)
                yield from lines.parse(content, path, damaged)
            if listed == before and not gone:
                return
            before = listed
            if gone:
                time.sleep(0.01)  # on network folders a listing lags behind

    def _content(self, path: str) -> bytes | None:
        try:
            return self.place.read(path)
        except FileNotFoundError:
            return b"" if self.place.exists(path) else None  # there, and not to be read: a folder

    def append(self, records: Iterable[Record]) -> None:
        """Add these records, as one segment, or several of very many."""
        todo = list(records)
        if todo:
            self._write(todo)
            self._appended += 1
            if self._appended % MERGE_EVERY == 0:
                self.merge()

    def _write(self, todo: list[Record]) -> None:
        for start in range(0, len(todo), BLOCK):
            content = lines.line(todo[start : start + BLOCK])
            self.place.write(f"{self.path}/{uuid.uuid4().hex}.jsonl", content)

    def merge(self) -> None:
        """Put many segments of like size into one, which holds all they say before they go."""
        alike: dict[int, list[str]] = defaultdict(list)
        for name, size in self.place.files(self.path).items():
            if name.endswith(".jsonl") and name[0] != "." and size < FULL:
                alike[(size.bit_length() + 1) // 4].append(f"{self.path}/{name}")
        for _, paths in sorted(alike.items()):
            if len(paths) > MERGE_ABOVE:
                found = {path: content for path in paths if (content := self._content(path)) is not None}
                self._write(list(_best(b for path in found for b in lines.parse(found[path], path)).values()))
                for path in found:
                    self.place.remove(path)


def _states(samples: list[list[str]], ranks: list[list[int]], told: dict[str, tuple[int, float, str]]) -> States:
    codes = dict(zip(chain(*samples), chain(*ranks), strict=True))
    if len(codes) < sum(map(len, samples)):
        for sample, code in zip(chain(*samples), chain(*ranks), strict=True):
            codes[sample] = max(code, codes[sample])
    return States(codes, {s: reason for s, (code, _, reason) in told.items() if codes[s] == code})


def _best(blocks: Iterable[Block]) -> dict[str, Record]:
    state: dict[str, Record] = {}
    for block in blocks:
        for record in block.records():
            if record.beats(state.get(record.sample)):
                state[record.sample] = record
    return state
