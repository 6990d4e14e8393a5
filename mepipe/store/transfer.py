"""Samples brought from one place to another: several at once, each compared with its digest on the way.

Data first, record last, a batch of records at a time: stopped at any moment, it goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from mepipe.errors import MepipeError
from mepipe.store.feature import Feature, digest
from mepipe.store.ledger import Record
from mepipe.store.place import PlaceError

THREADS = 8
BATCH = 32  # samples whose records are written together,
PAUSE = 10.0  # or those of so many seconds: what a crash makes to be brought again


@dataclass
class Carried:
    """What became of samples: those that arrived, bytes of their values, {sample: what was wrong with it there}."""

    records: list[Record] = field(default_factory=list)
    bytes: int = 0
    damaged: dict[str, str] = field(default_factory=dict)


def carry(
    target: Feature,
    wanted: Iterable[tuple[Feature, Record]],
    threads: int = THREADS,
    tick: Callable[[int], object] = lambda size: None,
) -> Carried:
    """Bring samples into a feature: of each, the feature that has it and the record that is to be written.

    What is not as its record says is left out, and named. PlaceError, or what the target raises, stops it; what has
    arrived by then is recorded. tick: called with the bytes of each sample that arrived.
    """
    carried = Carried()
    news: list[Record] = []
    last = time.monotonic()
    _open(target)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="carry")
    try:
        for record, outcome in _each(pool, target, wanted, 2 * threads):
            if isinstance(outcome, str):
                carried.damaged[record.sample] = outcome
                continue
            carried.bytes += outcome
            carried.records.append(record)
            news.append(replace(record, time=time.time()))
            tick(outcome)
            if len(news) >= BATCH or time.monotonic() - last > PAUSE:
                target.ledger.append(news)
                news, last = [], time.monotonic()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        target.ledger.append(news)
    _agree(target, {r.sample: r for r in carried.records})
    return carried


def _each(
    pool: ThreadPoolExecutor, target: Feature, wanted: Iterable[tuple[Feature, Record]], ahead: int
) -> Iterator[tuple[Record, int | str]]:
    """Every record, with the bytes that arrived or what is wrong; no more under way than memory holds."""
    queue = iter(wanted)
    running: dict[Future[int | str], Record] = {}
    while True:
        for source, record in islice(queue, ahead - len(running)):
            _open(source)
            running[pool.submit(_bring, source, target, record)] = record
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            record = running.pop(future)
            yield record, future.result()


def _open(feature: Feature) -> object:
    """Read what a feature keeps of itself, once rather than in every thread."""
    return feature.records, feature.sample_shape(0)


def _bring(source: Feature, target: Feature, record: Record) -> int | str:
    problem = "its values are not those that were recorded"
    try:
        values = source[record.sample]
        right = digest(values) == record.digest
    except PlaceError:
        raise
    except MepipeError as error:
        return str(error.__cause__ or error)
    except Exception as error:  # what Zarr and a disk raise for damaged data has no bounds
        return f"{type(error).__name__}: {error}"
    if not right or values.dtype != target.dtype or values.shape != target.sample_shape(record.sample):
        return problem
    target.write(record.sample, np.ascontiguousarray(values))
    return int(values.nbytes)


def _agree(target: Feature, mine: Mapping[str, Record]) -> None:
    """Where another wrote other values of the same samples meanwhile, make the records say what lies there.

    Values of one key differ by the device they were computed on. Whoever ends last sees both records.
    """
    now = target.ledger.records() if mine else {}
    clashes = [now[s] for s, record in mine.items() if s in now and now[s].digest != record.digest]
    fresh = Feature(target.place, target.path)
    target.ledger.append(
        replace(r, digest=digest(fresh[r.sample]), turn=r.turn + 1) for r in clashes if r.state == "done"
    )
