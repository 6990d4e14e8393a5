"""Records of a ledger, and how they are written: a line of JSON is one record, or a block of many.

A block is by column, and what all its records have alike is said once: {"same": {"state": "done", ...}, "each":
{"sample": "a,b,c", ...}}. Columns are text as far as they can be, so that what is not asked for costs nothing: counting
the states of a million samples parses neither their digests nor their times.

Each line ends in a checksum of itself. What a damaged line told of is not known, and computed again; the others count.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from mepipe.errors import MepipeError

State = Literal["done", "failed", "damaged"]
STATES: tuple[State, ...] = ("damaged", "failed", "done")  # by rank
_RANK: dict[str, int] = {state: rank for rank, state in enumerate(STATES)}
_DONE = _RANK["done"]


@dataclass(frozen=True, slots=True)
class Record:
    """What happened to one sample of one feature.

    final: of a failure, whether this input can never succeed, so that it is not tried again.
    digest: of the decoded array (done). reason: one line for a person (failed, damaged).
    """

    sample: str
    state: State
    fingerprint: str
    turn: int = 0
    digest: str = ""
    reason: str = ""
    final: bool = True
    seconds: float = 0.0
    host: str = ""
    time: float = 0.0

    def beats(self, other: Record | None) -> bool:
        """Whether this record counts rather than the other."""
        return other is None or (self.turn, _RANK[self.state], self.time) > (
            other.turn,
            _RANK[other.state],
            other.time,
        )


_CHECK = b', "check": "'
_NAMES = [f.name for f in fields(Record)]
_NEEDED = {"sample", "state", "fingerprint"}
_DEFAULTS = {f.name: f.default for f in fields(Record) if f.name not in _NEEDED}
_NUMBERS: dict[str, type[int] | type[float]] = {"turn": int, "seconds": float, "time": float}
_TYPES: dict[str, Any] = {"turn": int, "seconds": (int, float), "time": (int, float), "final": int}  # the others: str


@dataclass(frozen=True)
class States:
    """In brief, what became of samples.

    codes: {sample: turn * 3 + rank of the state}. reasons: of those that are not done.
    """

    codes: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def of(self, sample: str) -> State | None:
        """The state of a sample; None where nothing is known of it."""
        code = self.codes.get(sample)
        return None if code is None else STATES[code % 3]


@dataclass(frozen=True)
class Block:
    """Records by column, as parsed. path: of the segment, for messages."""

    path: str
    same: dict[str, Any]
    each: dict[str, Any]
    samples: list[str]
    codes: list[int]

    def column(self, name: str) -> Sequence[Any]:
        """One value for each record; MepipeError where the column is damaged."""
        try:
            return _column(self.same, self.each, name, len(self.samples))
        except (ValueError, TypeError):
            raise _no_segment(self.path, f"column {name!r}") from None

    def records(self) -> Iterator[Record]:
        """Record by record."""
        for values in zip(*(self.column(name) for name in _NAMES), strict=True):
            yield Record(*values)

    def reasons(self) -> Iterator[tuple[str, tuple[int, float, str]]]:
        """Of what is not done: sample, and (code, time, reason)."""
        rows = sorted(row for code in {*self.codes} if code % 3 != _DONE for row in _places(self.codes, code))
        times, whys = (self._texts(name) if rows else [] for name in ("time", "reason"))
        yield from ((self.samples[i], (self.codes[i], float(times[i]), str(whys[i]))) for i in rows)

    def _texts(self, name: str) -> Sequence[Any]:
        try:
            return _texts(self.same, self.each, name, len(self.samples))
        except (ValueError, TypeError):
            raise _no_segment(self.path, f"column {name!r}") from None


def _places(codes: list[int], code: int) -> Iterator[int]:
    """Where a code that is rare stands; a look at each of a million would take as long as all else."""
    row = -1
    with suppress(ValueError):
        while True:
            row = codes.index(code, row + 1)
            yield row


def _texts(same: dict[str, Any], each: dict[str, Any], name: str, count: int) -> Sequence[Any]:
    """A column, its numbers as they are written; ValueError where it is damaged."""
    if name not in each:
        return [same.get(name, _DEFAULTS.get(name))] * count
    values = each[name].split(",") if isinstance(each[name], str) else each[name]
    if not isinstance(values, list) or len(values) != count:
        raise ValueError
    return values


def _column(same: dict[str, Any], each: dict[str, Any], name: str, count: int) -> Sequence[Any]:
    values = _texts(same, each, name, count)
    if isinstance(each.get(name), list) and not all(isinstance(v, _TYPES.get(name, str)) for v in values):
        raise ValueError
    return [_NUMBERS[name](v) for v in values] if name in _NUMBERS and name in each else values


def parse(content: bytes, path: str, damaged: dict[str, int] | None = None) -> Iterator[Block]:
    """The lines of a segment that are as they were written; of the others `damaged` gets the number, by path.

    MepipeError at one that was written so, and yet is none: nobody's disk does that.
    """
    # Mostly one line, and of megabytes: it is not copied.
    many = content.find(b"\n") not in (-1, len(content) - 1)
    for line in content.splitlines() if many else [content]:
        end = max(0, line.rfind(_CHECK))
        if line[end:].rstrip() != _CHECK + _sum(memoryview(line)[:end]):
            if damaged is not None:
                damaged[path] = damaged.get(path, 0) + 1
            continue
        try:
            yield _block(line.decode(), path)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _no_segment(path, f"line {line[:60].decode(errors='replace')!r}") from None


def _no_segment(path: str, where: str) -> MepipeError:
    return MepipeError(f"{path}: not a ledger segment ({where}). Delete the file; what it told of is computed again.")


def _block(line: str, path: str) -> Block:
    content = json.loads(line)
    del content["check"]
    if "each" not in content:
        content = {"same": content, "each": {"sample": [content["sample"]]}}
    same, each = content["same"], content["each"]
    samples = each["sample"].split(",") if isinstance(each["sample"], str) else each["sample"]
    if not all(isinstance(value, _TYPES.get(name, str)) for name, value in same.items()):
        raise TypeError
    if not _NEEDED <= same.keys() | each.keys() <= set(_NAMES):
        raise ValueError
    if not isinstance(each["sample"], str) and {*map(type, samples)} != {str}:
        raise ValueError
    if "turn" in each:
        pairs = zip(*(_column(same, each, name, len(samples)) for name in ("turn", "state")), strict=True)
        codes = [turn * 3 + _RANK[state] for turn, state in pairs]
        if {*map(type, codes)} != {int}:
            raise ValueError
    else:
        code = {state: same.get("turn", 0) * 3 + rank for state, rank in _RANK.items()}
        codes = list(map(code.__getitem__, _texts(same, each, "state", len(samples))))
    return Block(path, same, each, samples, codes)


def _sum(text: bytes | memoryview) -> bytes:
    return b'%08x"}' % zlib.crc32(text)


def line(records: Sequence[Record]) -> bytes:
    """Records as a line, which `parse` reads."""
    text = _text(records)[:-1].encode()
    return text + _CHECK + _sum(text) + b"\n"


def _text(records: Sequence[Record]) -> str:
    if len(records) == 1:
        return json.dumps(asdict(records[0]), sort_keys=True)
    same: dict[str, Any] = {}
    each: dict[str, Any] = {}
    for name in _NAMES:
        values = [getattr(r, name) for r in records]
        if name != "sample" and values.count(values[0]) == len(values):
            same[name] = values[0]
        elif name in _NUMBERS:
            each[name] = ",".join(map(repr, values))
        elif name == "final" or any("," in v for v in values):
            each[name] = values
        else:
            each[name] = ",".join(values)
    return json.dumps({"same": same, "each": each})
