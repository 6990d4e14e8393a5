from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mepipe.store.ledger import FULL, MERGE_ABOVE, MERGE_EVERY, Ledger, Record
from mepipe.store.place import Folder


def record(sample: str, state: str = "done", turn: int = 1, reason: str = "") -> Record:
    return Record(sample=sample, state=state, fingerprint="f", turn=turn, reason=reason)


def test_an_empty_ledger_knows_nothing(tmp_path: Path) -> None:
    assert Ledger(Folder(tmp_path), "ledger").records() == {}


def test_of_one_turn_done_beats_failed_beats_damaged(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path), "ledger")
    for state in ("failed", "done", "damaged"):
        ledger.append([record("a", state)])
    assert ledger.records()["a"].state == "done"


def test_a_later_turn_counts_over_an_earlier_one_whatever_it_says(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path), "ledger")
    ledger.append([record("a", "damaged", turn=2)])
    ledger.append([record("a", "done", turn=1)])
    assert ledger.records()["a"].state == "damaged"


RECORDS = st.lists(
    st.builds(
        record,
        sample=st.sampled_from("abc"),
        state=st.sampled_from(["done", "failed", "damaged"]),
        turn=st.integers(1, 4),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(RECORDS, st.integers(1, 5))
def test_state_does_not_depend_on_how_records_are_cut_into_segments(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], size: int
) -> None:
    whole = Ledger(Folder(tmp_path_factory.mktemp("whole")), "ledger")
    cut = Ledger(Folder(tmp_path_factory.mktemp("cut")), "ledger")
    whole.append(records)
    for start in range(0, len(records), size):
        cut.append(records[start : start + size])
    assert cut.records() == whole.records()


def test_merging_keeps_the_state_and_leaves_one_segment(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path), "ledger")
    for i in range(MERGE_ABOVE + 8):
        ledger.append([record(f"s{i % 7}", turn=i)])
    before = ledger.records()
    ledger.merge()
    assert len(ledger.segments()) == 1
    assert ledger.records() == before


def test_records_that_come_one_by_one_do_not_pile_up(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path), "ledger")
    for i in range(2 * MERGE_EVERY):
        ledger.append([record(f"s{i}")])
    assert len(ledger.segments()) < MERGE_ABOVE
    assert len(ledger.records()) == 2 * MERGE_EVERY


def test_large_segments_are_left_as_they_are(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path), "ledger")
    ledger.append(record(f"s{i}", reason="r" * 40 + str(i)) for i in range(FULL // 40))
    (large,) = ledger.segments()
    for i in range(MERGE_ABOVE + 1):
        ledger.append([record("s1", turn=i)])
    ledger.merge()
    assert large in ledger.segments()
    assert len(ledger.segments()) == 2
    assert ledger.records()["s1"].turn == MERGE_ABOVE


def test_a_listing_that_misses_old_and_new_alike_loses_nothing(tmp_path: Path) -> None:
    class Lagging(Folder):
        """Lists a folder from which the old segments have just gone, and to which the new one has not come yet."""

        listings = 0

        def children(self, path: str) -> list[str]:
            self.listings += 1
            return super().children(path)[: None if self.listings > 1 else 0]

    Ledger(Folder(tmp_path), "ledger").append([record("a")])
    assert list(Ledger(Lagging(tmp_path), "ledger").records()) == ["a"]
    assert list(Ledger(Lagging(tmp_path), "ledger").states().codes) == ["a"]


def test_readers_and_writers_beside_merges_lose_nothing(tmp_path: Path) -> None:
    ledger = Ledger(Folder(tmp_path), "ledger")
    written = [f"s{i}" for i in range(200)]

    def write(sample: str) -> None:
        ledger.append([record(sample)])
        assert ledger.records()[sample].state == "done"
        ledger.merge()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, written))
    assert sorted(ledger.records()) == sorted(written)


@pytest.mark.parametrize("line", ["not json", "[]", '{"sample": "a"}', json.dumps({"state": "x", "sample": "a"})])
def test_a_segment_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "x.jsonl").write_text(line + "\n")
    ledger = Ledger(Folder(tmp_path), "ledger")
    assert ledger.records() == {}
    assert ledger.damaged() == {"ledger/x.jsonl": 1}
