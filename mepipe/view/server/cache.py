"""What was made is kept, up to so many bytes; so many are made at once, and no more wait."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):
    """So many wait already that one more is refused: ask again in a moment."""


class ByteCache:
    """Bytes by key, the latest used first, up to a limit. Threads that ask for the same at once make it once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._making: dict[Hashable, Future[bytes]] = {}
        self._lock = threading.Lock()

    def peek(self, key: Hashable) -> bytes | None:
        """What is kept, without waiting for what is being made."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """What is kept or made now. What `make` raises, all who wait for it get; it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            waiting = self._making.get(key)
            if waiting is None:
                mine = self._making[key] = Future()
        if waiting is not None:
            return waiting.result()
        try:
            made = make()
        except BaseException as error:
            self._end(key)
            mine.set_exception(error)
            raise
        self._end(key, made)
        mine.set_result(made)
        return made

    def _end(self, key: Hashable, made: bytes | None = None) -> None:
        with self._lock:
            del self._making[key]
            if made is None or len(made) > self.limit:
                return
            self._kept[key] = made
            self.size += len(made)
            while self.size > self.limit:
                self.size -= len(self._kept.popitem(last=False)[1])


class Pool:
    """Threads that read and draw. Beyond `waiting` calls, `run` raises Busy at once."""

    def __init__(self, threads: int, waiting: int) -> None:
        self.waiting = waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mepipe-view")
        self._pending = 0

    def begin(self, call: Callable[[], object]) -> None:
        """Have something done, whatever becomes of it."""
        self._pool.submit(call)

    async def run(self, call: Callable[[], T]) -> T:
        """What the call returns; to be awaited in one event loop only."""
        if self._pending >= self.waiting:
            raise Busy
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._pending -= 1
