"""What a network says beside its logits, kept with its fold and scored against a label scheme of its own.

Micro-AU CLIP detects action units, and says of each sample which emotion its features are nearest to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mepipe.errors import MepipeError
from mepipe.models.learner import Learner
from mepipe.train import metrics, schemes

if TYPE_CHECKING:
    from mepipe.models.declare import Also
    from mepipe.train.folds import How, Samples
    from mepipe.train.selection import Selection


@torch.no_grad()
def said(learner: Learner, samples: Samples, rows: Tensor, how: How) -> dict[str, Any]:
    """For a fold's record, as JSON: {"also": {name: scores of each sample}}, null for none; {} where it is silent."""
    if type(learner).also is Learner.also:
        return {}
    learner.eval()
    parts = [learner.also(*samples.batch(part, how.device)) for part in rows.split(how.schedule.batch)]
    return {"also": {name: _plain(torch.cat([part[name] for part in parts])) for name in parts[0]}}


def _plain(scores: Tensor) -> list[list[float | None]]:
    return [[value if abs(value) != torch.inf else None for value in row] for row in scores.float().cpu().tolist()]


def scored(
    records: Sequence[Mapping[str, Any]], declared: Mapping[str, Also], selection: Selection
) -> dict[str, dict[str, Any]]:
    """By name, scores over all folds: those of `metrics.score`, their intervals, what they are and by which scheme.

    Left out are samples of which the scheme makes no class, and what records of an older version lack.
    """
    found = {}
    for name, one in declared.items():
        true = labels(selection, one)
        told = [pair for r in records for pair in zip(r["test"], r.get("also", {}).get(name, ()), strict=False)]
        kept = {sample: _greatest(scores) for sample, scores in told if sample in true}
        if not kept:
            continue
        pair = [true[sample] for sample in kept], list(kept.values())
        who = [selection.subjects[sample] for sample in kept]
        found[name] = {
            "what": one.what,
            "scheme": one.scheme,
            "samples": len(kept),
            **metrics.score(*pair, one.classes),
            "intervals": metrics.intervals(*pair, who, len(one.classes)),
        }
    return found


def _greatest(scores: Sequence[float | None]) -> int:
    return max(range(len(scores)), key=lambda n: -torch.inf if (score := scores[n]) is None else score)


def labels(selection: Selection, one: Also) -> dict[str, int]:
    """Of the selection's samples, their class in that scheme, of those that have one."""
    found = {}
    feature: Any = next(iter(selection.features.values()))
    for dataset in selection.datasets:
        pooled = len(selection.datasets) > 1
        table = (feature.features[dataset] if pooled else feature).table
        for sample, value in table[schemes.scheme(one.scheme, dataset).column].items():
            key = f"{dataset}/{sample}" if pooled else str(sample)
            label = _label(schemes.scheme(one.scheme, dataset), value, key) if key in selection.labels else None
            if label is not None:
                found[key] = label
    return found


def _label(scheme: schemes.Scheme, value: object, sample: str) -> int | None:
    """None too where the scheme knows no such emotion: it was not trained on, and no run shall end by it."""
    try:
        return scheme.label(value, sample)
    except MepipeError:
        return None
