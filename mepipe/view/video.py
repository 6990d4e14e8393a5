"""A sample as a film for talks: original beside magnified clip and flow, slowed down, each frame at its own time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest
from mepipe.store.feature import Feature
from mepipe.view.look import Panel, panels
from mepipe.view.sample import MARKS, motion

DEFAULT = ("frames", "magnify.frames", "flow.tvl1")
LONGEST = 300  # seconds of film


@dataclass(frozen=True)
class Track:
    """One panel of the film. rgb: uint8 [T, H, W, 3]; positions: the frame number of the clip that each stands for.

    face: whether it shows one. key, scale: colours without the pictures, and what they mean; of flow and strain.
    """

    title: str
    node: str
    rgb: np.ndarray
    positions: np.ndarray
    face: bool = True
    key: np.ndarray | None = None
    scale: str = ""

    @cached_property
    def step(self) -> float:
        """Frames of the clip from one to the next."""
        return float(np.median(np.diff(self.positions))) if len(self.positions) > 1 else 1.0

    def index(self, number: float) -> int | None:
        """Which picture is shown at a frame number: from its position to the next one's. None before and after."""
        if len(self.rgb) == 1:
            return 0
        found = int(np.searchsorted(self.positions, number + 1e-6, "right")) - 1
        return found if found >= 0 and number < self.positions[-1] + self.step - 1e-6 else None


@dataclass(frozen=True)
class Film:
    """All that is shown. fps: of the recording; marks: frame numbers by name; curve: frame numbers, motion in px."""

    title: str
    facts: str
    tracks: list[Track]
    fps: float
    marks: dict[str, int]
    curve: tuple[np.ndarray, np.ndarray] | None

    @property
    def start(self) -> float:
        """The first frame number: time 0 is the onset."""
        first = (float(t.positions[0]) for t in self.tracks if len(t.rgb) > 1)
        return min([*self.marks.values(), *first], default=0.0)

    @property
    def end(self) -> float:
        """Where the last frame, which stays as long as those before it, ends."""
        last = (float(t.positions[-1]) + t.step for t in self.tracks if len(t.rgb) > 1)
        return max([*self.marks.values(), *last], default=0.0)

    def ms(self, number: float) -> float:
        """Time after the onset."""
        return (number - self.marks.get("onset", self.start)) / self.fps * 1000

    def numbers(self, speed: float, rate: int) -> np.ndarray:
        """The clip's frame number at each frame of a film of `rate` frames per second; UsageError if it is long."""
        seconds = (self.end - self.start) / self.fps / speed
        if not seconds <= LONGEST:
            msg = f"{self.title}: a film of {seconds:.0f} s; {LONGEST} is the limit. Raise --speed ({speed:g})."
            raise UsageError(msg)
        return self.start + np.arange(max(1, round(seconds * rate))) * (speed * self.fps / rate)


def film(features: Mapping[str, Feature], dataset: str, sample: str, show: Sequence[str] = ()) -> Film:
    """A sample's film of these nodes, or parts (`motion-map.strain`); by default of those of DEFAULT that there are."""
    first = next(iter(features.values()))
    row: dict[Any, Any] = first.table.loc[[sample]].to_dict("records")[0]
    fps = float(row["fps"])
    if not 0 < fps < float("inf"):
        msg = f"{dataset}/{sample}: the recording has {fps:g} frames per second. Correct fps in the manifest."
        raise MepipeError(msg)
    marks = {mark: int(row[mark]) for mark in MARKS if int(row[mark]) >= 0}
    chosen = _chosen(panels(features), show)
    arrays = {panel.node: features[panel.node][sample] for panel in chosen}
    scales = {
        kind: max(p.scale([arrays[p.node]]) for p in chosen if p.kind == kind) for kind in {p.kind for p in chosen}
    }  # one within the film
    tracks = [_track(p, features[p.node], arrays[p.node], sample, marks, p.white or scales[p.kind]) for p in chosen]
    made = Film(f"{dataset} / {sample}", _facts(row, fps), tracks, fps, marks, _curve(features, sample, marks))
    if not np.isfinite([made.start, made.end]).all():
        msg = f"{dataset}/{sample}: its frames have no numbers. Run mepipe store verify, then mepipe extract."
        raise MepipeError(msg)
    return made


def _chosen(known: list[Panel], show: Sequence[str]) -> list[Panel]:
    names = [n for panel in known for n in (panel.node, panel.slug)]
    for name in show:
        if name not in names:
            msg = f"Nothing to show under {name!r}.{nearest(name, names)} There is: {', '.join(dict.fromkeys(names))}."
            raise UsageError(msg)
    wanted = show or [name for name in DEFAULT if name in names] or names[:1]
    chosen = [panel for name in wanted for panel in known if name in (panel.node, panel.slug)]
    if not chosen:
        msg = "This store has no frames, flow or strain to show. Run: mepipe extract"
        raise UsageError(msg)
    return list(dict.fromkeys(chosen))


def _track(
    panel: Panel, feature: Feature, array: np.ndarray, sample: str, marks: Mapping[str, int], scale: float
) -> Track:
    positions = feature.position(sample)
    frames = array if "frame" in feature.dims else array[None]
    if len(positions) != len(frames) > 1:
        msg = f"{feature.path}: nobody knows when its frames were: they have no numbers. Leave it out of --show."
        raise UsageError(msg)
    title = _title(panel, feature.attributes.get("lineage"))
    face = bool(feature.attributes.get("shows_face", True))
    if panel.kind == "picture":
        return Track(title, panel.slug, panel.rgb(frames, scale), positions, face)
    if _begins_after(positions, marks):
        frames = np.concatenate([np.zeros_like(frames[:1]), frames])  # the onset itself, which has not moved
        positions = np.concatenate([[marks["onset"]], positions])
    meaning = f"full colour: {scale:.2g} px, white: still" if panel.kind == "flow" else f"0 to {scale:.2g}"
    return Track(title, panel.slug, panel.rgb(frames, scale), positions, face, panel.key(scale), meaning)


def _begins_after(positions: np.ndarray, marks: Mapping[str, int]) -> bool:
    """Whether the first frame is the first after the onset, as of motion from the onset, which is not stored there."""
    return len(positions) > 1 and 0 < positions[0] - marks.get("onset", np.inf) <= 1.5 * np.diff(positions).max()


def _title(panel: Panel, lineage: Any) -> str:
    """What it is, for an audience."""
    while isinstance(lineage, dict):
        if panel.kind == "picture" and lineage["stage"].startswith("magnify"):
            gain = next((f" ({n} {v:g})" for n, v in lineage["params"].items() if n in ("alpha", "factor")), "")
            return f"magnified{gain}"
        if panel.kind == "picture" and lineage["stage"] == "rank-pool":
            return "rank-pooled"
        lineage = lineage["upstream"]
    return {"picture": "original, aligned", "flow": "optical flow", "strain": "optical strain"}[panel.kind]


def _facts(row: Mapping[str, Any], fps: float) -> str:
    known = [f"subject {row['subject']}", row["emotion"], f"AU {row['aus']}" if row["aus"] else "", f"{fps:g} fps"]
    return " · ".join(part for part in known if part)


def _curve(
    features: Mapping[str, Feature], sample: str, marks: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Motion over time: of the flow that reaches over most of it, from the onset's stillness."""
    known = [(features[p.node], p) for p in panels(features) if p.kind == "flow" and "frame" in features[p.node].dims]
    flows = [(feature, panel) for feature, panel in known if sample in feature.done]
    if not flows:
        return None
    feature, panel = max(flows, key=lambda one: np.ptp(one[0].position(sample)))
    positions, values = feature.position(sample), motion(panel.values(feature[sample]))
    if _begins_after(positions, marks):
        positions, values = np.concatenate([[marks["onset"]], positions]), np.concatenate([[0.0], values])
    return (positions, values) if len(positions) > 1 else None


def pictures(made: Film, speed: float, rate: int) -> Iterator[Any]:
    """The film's pictures, one by one: PIL images."""
    from mepipe.view.canvas import Canvas

    canvas = Canvas(made, speed)
    for number in made.numbers(speed, rate):
        yield canvas.at(float(number))
