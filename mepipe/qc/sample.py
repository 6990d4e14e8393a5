"""All measures of one sample, from its stored features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mepipe.errors import MepipeError
from mepipe.qc import motion, pictures, regions, shapes
from mepipe.qc.judge import LIMITS
from mepipe.qc.regions import Regions
from mepipe.qc.sources import Sources


@dataclass(eq=False)
class Measured:
    """What was measured of a sample. values: by flag. facts: what sentences tell beside them. mark, shape: what is
    compared between samples (`pictures.mark`, `shapes.points`); None where there is none."""

    values: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    mark: np.ndarray | None = None
    shape: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Timing:
    """A sample's annotation: frame numbers, apex None where there is none."""

    onset: int
    apex: int | None
    offset: int
    fps: float

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Timing:
        """From a row of a snapshot's table."""
        apex = int(row["apex"])
        return cls(int(row["onset"]), apex if apex >= 0 else None, int(row["offset"]), float(row["fps"]))

    def ms(self, number: float) -> float:
        """When a frame is shown, ms after the onset."""
        return (number - self.onset) / self.fps * 1000


def measure(sources: Sources, sample: str) -> Measured:
    """Measures of one sample, by what of it is in the store; nothing is compared with other samples yet."""
    found = Measured()
    timing = Timing.of(sources.row(sample))
    missing = str(sources.row(sample).get("missing", "")).split()
    found.values["missing"] = len(missing) / (timing.offset - timing.onset + 1)
    reasons = list(sources.failures(sample).values())
    try:
        _stored(found, sources, sample, timing)
    except MepipeError as error:  # damaged: the others are measured all the same
        reasons.append(str(error))
    if reasons:
        found.values["failed"] = len(reasons)
        found.facts["reason"] = " ".join(reasons[0].split())
    return found


def _stored(found: Measured, sources: Sources, sample: str, timing: Timing) -> None:
    """Measures of the arrays."""
    frames, flow, landmarks = (sources.read(kind, sample) for kind in ("frames", "flow", "landmarks"))
    levels = None if frames is None else pictures.grey(frames, sources.white)
    if levels is not None:
        found.mark = pictures.mark(levels)
    if landmarks is None:
        return
    found.shape = shapes.points(landmarks, sources.size)
    found.values["asymmetry"] = shapes.asymmetry(found.shape)
    face = regions.of(landmarks, sources.size)
    if levels is not None:
        _pictures(found, levels, sources.position("frames", sample), timing, face)
    if flow is not None:
        _motion(found, flow[:, :2], sources.position("flow", sample), timing, face)


def _pictures(found: Measured, levels: np.ndarray, position: np.ndarray, timing: Timing, face: Regions) -> None:
    found.values["blur"] = pictures.blur(levels, face)
    if len(levels) > 1:
        found.values["frozen"] = pictures.still_share(levels, position, face)
        found.values["illumination"], at = pictures.light_step(levels, face)
        found.facts["light_at"] = timing.ms(position[at])


def _motion(found: Measured, flow: np.ndarray, position: np.ndarray, timing: Timing, face: Regions) -> None:
    found.values["exploding"] = motion.fastest(flow, face)
    course = Course.of(flow, position, timing, face)
    found.values["rigid"], found.facts["rigid_at"] = course.highest(course.rigid)
    found.values["turn"], found.facts["turn_at"] = course.highest(course.turn)
    found.values["flat"], _ = course.highest(course.skin)
    found.facts["motion"] = found.values["flat"]
    found.values["blink"], seconds = motion.blink(course.lids, course.ms / 1000)
    found.facts["blink_at"] = seconds * 1000
    if timing.apex is not None and not LIMITS["flat"].exceeded(found.values["flat"]):
        _apex(found, course, timing, timing.ms(timing.apex))


def _apex(found: Measured, course: Course, timing: Timing, apex: float) -> None:
    whole = timing.ms(timing.offset)
    peak = motion.peak_time(course.skin, course.ms, apex)
    # The peak is known to half a step between stored frames, and the annotation to a frame.
    known = max(float(np.diff(course.ms).max()) / 2, 1000 / timing.fps)
    found.facts |= {"apex": apex, "peak": peak, "away": abs(apex - peak)}
    found.values["apex"] = max(0.0, abs(apex - peak) - known) / whole if whole > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Course:
    """Motion over time, float64 [N + 1], 0 at the onset. ms: after the onset. skin, lids, rigid: px of 224. turn:
    degrees. See `motion`."""

    ms: np.ndarray
    skin: np.ndarray
    lids: np.ndarray
    rigid: np.ndarray
    turn: np.ndarray

    @classmethod
    def of(cls, flow: np.ndarray, position: np.ndarray, timing: Timing, face: Regions) -> Course:
        """From flow [N, 2, H, W] and the frame numbers that it leads to."""
        head = motion.head(motion.flow_cells(flow), face)
        curves = motion.course(head.rest, face), motion.lids(head.rest, face), head.rigid, head.turn
        numbers = np.concatenate([[timing.onset], position])
        return cls(np.array([timing.ms(n) for n in numbers]), *(np.concatenate([[0.0], c]) for c in curves))

    def highest(self, curve: np.ndarray) -> tuple[float, float]:
        """The largest value of one of the curves, and when, ms."""
        return float(curve.max()), float(self.ms[np.argmax(curve)])
