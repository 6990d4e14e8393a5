"""From measures to flags: limits, where they come from, and a sentence for each flag.

Limits were measured on 126 clips of the demo, recorded without fault: of 24 subjects, at 30, 100 and 200 frames per
second, with motion of 0.8 to 2.5 px, a head that sways, a lamp that drifts, a sensor's noise. `clean` says what these
reach at most (`flat`: at least); a limit is 1.5 to 9 times that, and below what the planted faults make
(`python -m benchmarks --only accuracy_qc`; a blink can be fainter: docs/qc.md). Real databases are not as clean: there
limits sort, they do not convict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 10.0  # no single flag counts for more: ten faint signs are no less than one glaring one


@dataclass(frozen=True)
class Limit:
    """What is suspicious: values above `limit`; or below it, where `below`.

    why: what is measured, and what it may mean. clean: what clean clips reach. say: of a sample, with its value, the
    limit and facts. at: the fact that tells when it is so, ms after the onset; empty where there is no such moment.
    """

    limit: float
    unit: str
    why: str
    say: str
    clean: str = ""
    at: str = ""
    below: bool = False

    def severity(self, value: float) -> float:
        """How far a value is on its way to the limit: 1 at the limit, 10 at most."""
        part = self.limit / max(value, 1e-9) if self.below else value / self.limit if self.limit else _MOST * value
        return min(part, _MOST)

    def exceeded(self, value: float) -> bool:
        """Whether a value is suspicious."""
        return value < self.limit if self.below else value > self.limit


LIMITS: dict[str, Limit] = {
    "failed": Limit(0, "features", "features of the sample that could not be computed, by the ledger", "{reason}"),
    "duplicate": Limit(
        0.2,
        "correlation",
        "the frames' noise, which no two recordings share, against every other sample's: the same files, or the same "
        "pictures again, also compressed again, under another id",
        "Shows the same pictures as {twin}: {how}.",
        "0.07",
    ),
    "overlap": Limit(
        0.25,
        "share of the clip",
        "frames that another sample, cut from the same recording, has too",
        "Is cut from the same recording as {shared_with}, and {value:.0%} of the shorter one's frames are in both.",
    ),
    "frozen": Limit(
        0.1,
        "share of the clip",
        "time in which one frame is repeated: successive frames that differ by less than 0.15 grey levels",
        "Stands still for {value:.0%} of its time: frames are repeated.",
        "0",
    ),
    "missing": Limit(
        0.05,
        "share of the clip",
        "frames that the release lacks and that were filled from their neighbours",
        "Lacks {value:.0%} of its frames, which are filled from their neighbours.",
    ),
    "apex": Limit(
        0.15,
        "share of the clip",
        "time from the annotated apex to the nearest moment of at least 0.9 of the largest motion, less what frames or "
        "the steps between them leave open",
        "The apex is annotated at {apex:.0f} ms, and the face moves most at {peak:.0f} ms: {away:.0f} ms away, at "
        "least {value:.0%} of the clip.",
        "0.00",
        at="peak",
    ),
    "blink": Limit(
        0.4,
        "px at 224",
        "how far both upper lids go down and, within half a second, up again; a mean over the lids' edges",
        "Blinks at {blink_at:.0f} ms: the lids go down by {value:.1f} px and up again; elsewhere the face moves by "
        "{motion:.1f} px.",
        "0.18",
        at="blink_at",
    ),
    "turn": Limit(
        1.0,
        "degrees",
        "how far the head turns out of the picture's plane since the onset, which alignment cannot undo",
        "The head turns by {value:.1f} degrees, most at {turn_at:.0f} ms.",
        "0.12",
        at="turn_at",
    ),
    "rigid": Limit(
        0.3,
        "px at 224",
        "shift, rotation and growth of the head that alignment left in the flow: root mean square over the face",
        "The face is not held still: as a whole it moves by {value:.2f} px, most at {rigid_at:.0f} ms.",
        "0.05",
        at="rigid_at",
    ),
    "flat": Limit(
        0.2,
        "px at 224",
        "the largest motion of the skin; less, and there is no expression to be seen",
        "Hardly anything moves: {value:.2f} px at most.",
        "0.58",
        below=True,
    ),
    "exploding": Limit(
        12.0,
        "px at 224",
        "displacement of the thousandth of the skin that the flow moves farthest: more than a micro-expression has",
        "Flow of {value:.0f} px: more than a micro-expression moves, or flow that went wrong.",
        "2.5",
    ),
    "blur": Limit(
        2.3,
        "px at 224",
        "sigma of the face's blur, from its fine texture against its coarse: out of focus, or a small face made large",
        "The face is blurred by {value:.1f} px.",
        "1.48",
    ),
    "illumination": Limit(
        6.0,
        "grey levels",
        "change of the light on the skin from one stored frame to the next",
        "The light jumps by {value:.1f} grey levels at {light_at:.0f} ms.",
        "2.8",
        at="light_at",
    ),
    "landmarks": Limit(
        4.0,
        "px at 224",
        "distance of the 68 points from the median of the same subject's other samples, shifted, rotated and scaled "
        "onto each other; of subjects with three others or more",
        "Landmarks lie {value:.1f} px from those of the same subject's other samples.",
        "1.0",
    ),
    "asymmetry": Limit(
        5.0,
        "px at 224",
        "half the distance of the 68 points from those of the mirrored face: the head is turned at the onset, or "
        "landmarks are wrong",
        "The face is seen from the side at the onset, or landmarks are wrong: {value:.1f} px from symmetric.",
        "3.0",
    ),
}


def explained() -> dict[str, dict[str, Any]]:
    """Every flag's limit, unit and meaning, as reports have them."""
    return {
        name: {
            "limit": limit.limit,
            "unit": limit.unit,
            "why": limit.why + (f" (clean demo clips: {limit.clean})" if limit.clean else ""),
            "below": limit.below,
        }
        for name, limit in LIMITS.items()
    }


def judge(values: Mapping[str, float], facts: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's score and flags, the gravest first. values: by flag; facts: what sentences tell beside it.

    The score is the sum of the flags' severities; without a flag, the part of the way to the nearest one. A flag has
    "flag", "value", "limit", "why", and where it is so at a moment "at_ms", after the onset.
    """
    severity = {name: LIMITS[name].severity(value) for name, value in values.items()}
    raised = [name for name, value in values.items() if LIMITS[name].exceeded(value)]
    raised.sort(key=lambda name: -severity[name])
    score = sum(severity[name] for name in raised) if raised else min(max(severity.values(), default=0.0), 1.0)
    return {"score": round(float(score), 3), "flags": [_flag(name, values[name], facts) for name in raised]}


def _flag(name: str, value: float, facts: Mapping[str, Any]) -> dict[str, Any]:
    limit = LIMITS[name]
    flag = {"flag": name, "value": round(float(value), 4), "limit": limit.limit}
    flag["why"] = limit.say.format(value=value, **facts)
    return {**flag, "at_ms": round(float(facts[limit.at]), 1)} if limit.at else flag
