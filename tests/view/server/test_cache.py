"""What is kept is bounded, made once, and right."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mepipe.view.server.cache import Busy, ByteCache, Pool


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40))))
def test_never_more_than_the_limit_and_always_what_was_made(asked: list[tuple[int, int]]) -> None:
    cache = ByteCache(100)
    for key, size in asked:
        before = cache.peek(key)
        found = cache.get(key, lambda size=size: bytes(size))  # type: ignore[misc]
        assert found == (bytes(size) if before is None else before)
        assert cache.size == sum(len(cache.peek(k) or b"") for k in range(10)) <= 100


def test_what_was_used_last_stays() -> None:
    cache = ByteCache(3)
    for key in "abc":
        cache.get(key, lambda: b"1")
    cache.get("a", lambda: b"2")
    cache.get("d", lambda: b"1")
    assert [cache.peek(key) for key in "abcd"] == [b"1", None, b"1", b"1"]
    cache.get("large", lambda: b"four")
    assert cache.peek("large") is None
    assert cache.peek("a") == b"1"


def test_what_many_ask_for_at_once_is_made_once() -> None:
    cache, made = ByteCache(100), []

    def make() -> bytes:
        made.append(threading.get_ident())
        time.sleep(0.05)
        return b"it"

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: cache.get("key", make), range(8))) == {b"it"}
    assert len(made) == 1


def test_what_went_wrong_is_told_to_all_and_tried_again() -> None:
    cache, begun = ByteCache(100), threading.Event()

    def fail() -> bytes:
        begun.set()
        time.sleep(0.05)
        raise ValueError("no")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "key", fail)
        begun.wait()
        second = pool.submit(cache.get, "key", lambda: b"not asked")
        for one in (first, second):
            with pytest.raises(ValueError, match="no"):
                one.result()
    assert cache.get("key", lambda: b"now") == b"now"


def test_beyond_so_many_that_wait_one_more_is_refused() -> None:
    async def ask() -> list[object]:
        pool = Pool(threads=1, waiting=3)
        first = await asyncio.gather(*(pool.run(lambda: time.sleep(0.02)) for _ in range(5)), return_exceptions=True)
        return [*map(type, first), await pool.run(lambda: "served again")]

    assert asyncio.run(ask()) == [type(None)] * 3 + [Busy] * 2 + ["served again"]
