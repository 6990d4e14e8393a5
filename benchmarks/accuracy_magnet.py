"""Learned magnification: motion and likeness of magnified frames against true ones and Eulerian magnification."""

from __future__ import annotations

import numpy as np

from benchmarks.tables import Asked, Report, Row, Table
from mepipe import weights
from mepipe.networks import magnet_quality as quality
from mepipe.networks.magnet_quality import FACTORS, MOTIONS, Case, Score, Scores
from mepipe.ops import eulerian

TITLE = "Learned magnification (MagNet, the weights that come with mepipe)"
_TEXT = """\
Four pictures that no training saw (rocket, gravel, and the two faces of the demo), 128 px, moved rigidly and locally
by 0.1, 0.3 and 1 px at most; onset and apex are given, and what comes back is compared with the picture truly moved by
the factor. The realised factor is the multiple of the motion whose picture comes closest to what came back; *off* is by
how much of the factor it misses it, on average over pictures. Eulerian is `mepipe.ops.eulerian` on a clip of the same
motion (24 frames, 30 fps, 0.4-4 Hz), alpha set so that what its pass-band leaves of the apex is made up for."""
_FPS, _FRAMES = 30.0, 24
_NOISE = 2.0


def run(quick: bool = False) -> Report:
    """Without the noisy inputs when `quick`."""
    learned = quality.by(weights.module("magnet"))  # type: ignore[arg-type]
    clean = quality.measure(learned)
    linear = {key: _eulerian(*key) for key in clean}
    tables = [_table("Without noise", clean, linear)]
    asked = [
        Asked(f"realised motion off the factor {f:g}, mean over all cases", quality.off(clean, f), "<=", 0.15)
        for f in FACTORS
    ]
    for f in FACTORS:
        better = quality.likeness(clean, f) - quality.likeness(linear, f)
        asked.append(Asked(f"SSIM above Eulerian's at the factor {f:g}, mean over all cases", better, ">=", 0.0))
    if not quick:
        noisy, other = (quality.measure(m, noise=_NOISE) for m in (learned, quality.linear))
        about = (
            "Eulerian here is `apex + (factor - 1) (apex - onset)`: without neighbouring frames to average noise in."
        )
        tables.append(_table(f"Noise of {_NOISE:g} grey levels on onset and apex", noisy, other, about))
    return Report(TITLE, _TEXT, tables, asked)


def _eulerian(case: Case, factor: float) -> Score:
    course = np.sin(np.pi * np.arange(_FRAMES) / _FRAMES) ** 2
    apex = int(course.argmax())
    passed = eulerian.filter_matrix(_FRAMES, _FPS, 0.4, 4.0) @ course
    alpha = (factor - 1) / passed[apex]
    frames = np.stack([case.frame(amount) for amount in course])
    made = eulerian.magnify(frames, _FPS, 0.4, 4.0, alpha)[apex]
    return quality.score(case, factor, lambda *_: made)


def _table(title: str, learned: Scores, linear: Scores, note: str = "") -> Table:
    rows: list[Row] = []
    for factor in FACTORS:
        for motion in MOTIONS:
            ours, theirs = (
                {k: s for k, s in scores.items() if k[1] == factor and k[0].motion == motion}
                for scores in (learned, linear)
            )
            columns = [
                (np.mean([s.realised for s in part.values()]), quality.off(part, factor)) for part in (ours, theirs)
            ]
            alike = [quality.likeness(part, factor) for part in (ours, theirs)]
            errors = [np.mean([s.error for s in part.values()]) for part in (ours, theirs)]
            rows.append((factor, motion, *map(float, [*columns[0], *columns[1], *alike, *errors])))
    header = ("factor", "motion, px", "realised", "off", "Eulerian", "off", "SSIM", "Eulerian", "error", "Eulerian")
    return Table(f"{title} (error: mean difference, grey levels)", header, rows, note)
