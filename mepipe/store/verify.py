"""Reading everything back: does each sample still have the digest that the ledger recorded?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mepipe.errors import MepipeError
from mepipe.store.feature import Feature, digest


def verify(feature: Feature, tick: Callable[[], object] = lambda: None) -> dict[str, str]:
    """{sample: what is wrong} of a feature; each is marked damaged in the ledger, so that extract computes it again."""
    damaged: dict[str, str] = {}
    for sample in feature.done:
        problem = _problem(feature, sample)
        if problem:
            damaged[sample] = problem
        tick()
    records = [feature.records[s] for s in damaged]
    feature.ledger.append(
        replace(r, state="damaged", reason=damaged[r.sample], digest="", turn=r.turn + 1) for r in records
    )
    return damaged


def _problem(feature: Feature, sample: str) -> str:
    try:
        values = feature[sample]
    except MepipeError as error:
        return str(error.__cause__ or error)
    if digest(values) != feature.records[sample].digest:
        return "its values are not those that were written"
    return ""
