"""A feature's ledger: what happened to each sample. Immutable segment files; the state is their union.

A segment is one JSON record per line, written whole by one writer under a name of its own, never edited.
For one sample the record with the highest `turn` counts: a writer gives its record the turn after the one it knows of,
so no clocks are compared. Of two records with the same turn, `done` beats `failed` beats `damaged`: `done` is only
ever written after its data is on the disk.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from mepipe.errors import MepipeError
from mepipe.store import files

State = Literal["done", "failed", "damaged"]
_RANK = {"damaged": 0, "failed": 1, "done": 2}
MERGE_ABOVE = 32  # segments


@dataclass(frozen=True)
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


def _parse(line: str, path: Path) -> Record:
    try:
        record = Record(**json.loads(line))
        if record.state not in _RANK or not isinstance(record.turn, int):
            raise ValueError
    except (ValueError, TypeError):
        msg = f"{path}: not a ledger segment (line {line[:60]!r}). Delete the file; what it told of is computed again."
        raise MepipeError(msg) from None
    return record


class Ledger:
    """The ledger in one folder. Any number of processes may append at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def segments(self) -> list[Path]:
        """Its segment files, in no order that means anything."""
        return sorted(self.folder.glob("*.jsonl"))

    def records(self) -> dict[str, Record]:
        """The state: for each sample that anything happened to, the record that counts."""
        while True:
            state: dict[str, Record] = {}
            try:
                for path in self.segments():
                    for line in path.read_text(encoding="utf-8").splitlines():
                        record = _parse(line, path)
                        if record.beats(state.get(record.sample)):
                            state[record.sample] = record
            except FileNotFoundError:
                continue  # merged away between listing and reading: its content is in a newer segment
            return state

    def append(self, records: Iterable[Record]) -> None:
        """Add one segment with these records."""
        text = "".join(json.dumps(asdict(r), sort_keys=True) + "\n" for r in records)
        if text:
            files.write(self.folder / f"{uuid.uuid4().hex}.jsonl", text.encode())

    def merge(self) -> None:
        """Put many small segments into one, which holds all they say before they go."""
        old = self.segments()
        if len(old) <= MERGE_ABOVE:
            return
        self.append(self.records().values())
        for path in old:
            path.unlink(missing_ok=True)
