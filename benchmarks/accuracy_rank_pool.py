"""Rank pooling: are the frames of every demo clip put in order?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks import clips
from benchmarks.tables import Asked, Report, Table
from mepipe.clip import Clip
from mepipe.ops import rank_pool

TITLE = "Rank pooling: order of frames"
_TEXT = """\
Share of pairs of frames whose scores <pooled, mean of the frames so far> are in the right order, of the recipe's 16
frames of each demo clip as extracted (head motion, noise and drift of the light on; aligned). Exact order of all 120
pairs is 1."""


def run(quick: bool = False) -> Report:
    """Six clips when `quick`, else all of the demo."""
    specs = clips.spread(1) if quick else [entry.spec for entry in clips.entries()]
    methods = ("approximate",) if quick else rank_pool.METHODS
    spans = ("onset -> offset", "onset -> apex")
    found: dict[tuple[str, str], list[float]] = {(m, s): [] for m in methods for s in spans}
    for spec in specs:
        clip = clips.aligned(*clips.rendered(spec)).clip
        rising = replace(clip, frames=clip.frames[: spec.apex + 1], position=clip.position[: spec.apex + 1])
        for span, part in zip(spans, (clip, rising), strict=True):
            for method in methods:
                found[method, span].append(_ordered(part, method))
    rows = [
        (method, span, float(np.mean(shares)), min(shares), sum(share == 1 for share in shares), len(shares))
        for (method, span), shares in found.items()
    ]
    header = ("method", "frames", "mean", "worst clip", "clips in exact order", "of")
    asked = [
        Asked(f"approximate, {span}: pairs in order, worst clip", min(found["approximate", span]), ">=", 1.0)
        for span in spans
    ]
    return Report(TITLE, f"{_TEXT} {len(specs)} clips.", [Table("Pairs in order", header, rows)], asked)


def _ordered(clip: Clip, method: str) -> float:
    frames = clips.sampled(clip, "frames").frames
    return rank_pool.ordering_accuracy(frames, rank_pool.rank_pool(frames, method), method != "approximate-frames")
