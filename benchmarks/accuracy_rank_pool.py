"""Rank pooling: are the frames of every demo clip put in order?"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from benchmarks import clips
from benchmarks.tables import Asked, Report, Table
from mepipe.clip import Clip
from mepipe.datasets.demo.render import ClipSpec
from mepipe.ops import rank_pool

TITLE = "Rank pooling: order of frames"
_TEXT = """\
Share of pairs of frames whose scores <pooled, mean of the frames so far> (`approximate-frames`: <pooled, frame>) are in
the right order, of the recipe's 16 frames of each demo clip. *As extracted*: head motion, aligned; sensor noise; the
light drifts by up to 2 %. *Light evened out*: the same frames as the stage pools them, each scaled to the first one's
mean. *Steady light*: rendered without drift and without head motion. Exact order of all 120 pairs is 1."""
_NOTE = """\
A movement that comes back, onset -> offset, is not ordered by any one direction, whatever the method. Onset -> apex,
what is out of order is out of order by the light: over a clip it comes and goes, and moves every pixel."""
_SPANS = ("onset -> apex", "onset -> offset")
_STEADY, _EVENED, _EXTRACTED = "steady light", "light evened out", "as extracted"


def run(quick: bool = False) -> Report:
    """Six clips and one method when `quick`, else all of the demo."""
    cv2.setNumThreads(1)
    specs = clips.spread(1) if quick else [entry.spec for entry in clips.entries()]
    methods = ("approximate",) if quick else rank_pool.METHODS
    found: dict[tuple[str, str, str], list[float]] = {}
    for spec in specs:
        for span in _SPANS:
            for light, frames in _frames(spec, span).items():
                for method in methods:
                    pooled = rank_pool.rank_pool(frames, method)
                    share = rank_pool.ordering_accuracy(frames, pooled, method != "approximate-frames")
                    found.setdefault((method, span, light), []).append(share)
    rows = [
        (*what, float(np.mean(shares)), min(shares), sum(share == 1 for share in shares), len(shares))
        for what, shares in sorted(found.items())
    ]
    header = ("method", "frames", "light", "mean", "worst clip", "clips in exact order", "of")
    asked = [
        Asked(
            f"approximate, onset -> apex, {light}: pairs in order, worst clip",
            min(found["approximate", _SPANS[0], light]),
            ">=",
            1.0,
        )
        for light in (_STEADY, _EVENED)
    ]
    return Report(TITLE, f"{_TEXT} {len(specs)} clips.", [Table("Pairs in order", header, rows, _NOTE)], asked)


def _frames(spec: ClipSpec, span: str) -> dict[str, np.ndarray]:
    """The recipe's 16 frames by kind of light."""
    extracted = _sixteen(_aligned(spec), span)
    return {
        _EXTRACTED: extracted,
        _EVENED: rank_pool.even_light(extracted),
        _STEADY: _sixteen(clips.still(replace(spec, drift=0.0)).clip, span),
    }


def _sixteen(clip: Clip, span: str) -> np.ndarray:
    end = len(clip) if span == "onset -> offset" else int(np.argmax(clip.position == clip.apex)) + 1
    part = clip.with_frames(clip.frames[:end], clip.position[:end])
    return clips.value(part, "frames").frames


@lru_cache(maxsize=1)
def _aligned(spec: ClipSpec) -> Clip:
    return clips.aligned(*clips.rendered(spec)).clip
