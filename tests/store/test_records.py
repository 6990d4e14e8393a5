from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.errors import MepipeError
from mepipe.store import records
from mepipe.store.ledger import Ledger
from mepipe.store.place import Folder
from mepipe.store.records import Record

TEXT = st.text(max_size=12)  # commas, quotes and line breaks among it
RECORDS = st.builds(
    Record,
    sample=st.sampled_from(["a", "b,c", "d", "e"]),
    state=st.sampled_from(records.STATES),
    fingerprint=TEXT,
    turn=st.integers(0, 5),
    digest=TEXT,
    reason=TEXT,
    final=st.booleans(),
    seconds=st.floats(0, 1e6),
    host=TEXT,
    time=st.floats(0, 4e9),
)


@given(st.lists(RECORDS, min_size=1, max_size=20))
def test_what_is_written_is_read(written: list[Record]) -> None:
    text = records.line(written)
    assert text.count(b"\n") == 1
    (block,) = records.parse(text, "x.jsonl")
    assert list(block.records()) == written


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=6), max_size=6))
def test_in_brief_the_ledger_says_what_it_says_at_length(segments: list[list[Record]]) -> None:
    class Remembered(Ledger):
        def _blocks(self):  # type: ignore[no-untyped-def]
            for segment in segments:
                yield from records.parse(records.line(segment), "x.jsonl")

    ledger = Remembered(Folder(None), "ledger")  # type: ignore[arg-type]
    full, brief = ledger.records(), ledger.states()
    assert {s: r.state for s, r in full.items()} == {s: brief.of(s) for s in brief.codes}
    assert {s: r.turn for s, r in full.items()} == {s: code // 3 for s, code in brief.codes.items()}
    assert brief.reasons.keys() == {s for s, r in full.items() if r.state != "done"}
    counts, failed = ledger.counts()
    assert dict(counts) == Counter(r.state for r in full.values())
    assert failed == {s: why for s, why in brief.reasons.items() if brief.of(s) == "failed"}


def test_records_written_one_a_line_are_read_too() -> None:
    written = [Record(s, "done", "f", turn=1, digest=s) for s in "abc"]
    text = b"".join(records.line([one]) for one in written)
    assert [r for block in records.parse(text, "x.jsonl") for r in block.records()] == written


@given(st.lists(RECORDS, min_size=2, max_size=4), st.data())
def test_a_bit_that_is_flipped_costs_its_line_and_no_other(written: list[Record], data: st.DataObject) -> None:
    lines = [records.line([one]) for one in written]
    content = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(lines[0]) - 2))
    content[at] ^= data.draw(st.sampled_from([1, 4, 64]))
    damaged: dict[str, int] = {}
    blocks = records.parse(bytes(content), "x.jsonl", damaged)
    assert [r for block in blocks for r in block.records()] == written[1:]
    assert damaged["x.jsonl"] > 0


GOOD = {
    "same": {"state": "done", "fingerprint": "f", "turn": 1},
    "each": {"sample": "a,b", "digest": "1,2", "time": "1.0,2.0"},
}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("same", {"state": "gone"}),
        ("same", {"turn": "one"}),
        ("same", {"turn": None}),
        ("same", {"more": 1}),
        ("each", {"sample": [1, 2]}),
        ("each", {"sample": None}),
        ("each", {"state": "done,odd"}),
        ("each", {"turn": "1"}),
        ("each", {"digest": "1,2,3"}),
        ("each", {"time": "1.0,x"}),
    ],
)
def test_a_block_that_is_none_is_named(part: str, change: dict[str, object]) -> None:
    line = whole({**GOOD, part: {**GOOD[part], **change}})
    with pytest.raises(MepipeError, match=r"x\.jsonl: not a ledger segment"):
        [list(block.records()) for block in records.parse(line, "x.jsonl")]
    assert [list(b.records()) for b in records.parse(whole(GOOD), "x.jsonl")]


def whole(content: object) -> bytes:
    """A line with a right checksum, whatever it says."""
    text = json.dumps(content)[:-1].encode()
    return text + records._CHECK + records._sum(text) + b"\n"
