"""The misclassified samples as pictures from the store: onset, apex, flow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from mepipe.errors import MepipeError
from mepipe.report.figures import Picture, photograph
from mepipe.report.gather import Account, Prediction
from mepipe.store import Store
from mepipe.store.feature import Feature
from mepipe.train.composites import database
from mepipe.view.look import Panel, panels
from mepipe.view.sample import motion


@dataclass(frozen=True)
class Mistake:
    """One sample: what it was taken for, what is annotated, and its pictures; or why there are none."""

    prediction: Prediction
    annotated: str
    pictures: list[Picture]
    absent: str = ""


@dataclass(frozen=True)
class Mistakes:
    """total: how many there are, of which some are shown. keys: to the colours. faces: of whose databases."""

    total: int
    shown: list[Mistake] = field(default_factory=list)
    keys: list[Picture] = field(default_factory=list)
    faces: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Shot:
    """One picture to be made of a sample: a panel of a feature, at one frame; a flow picture has a scale."""

    panel: Panel
    feature: Feature
    caption: str
    mark: str

    def frame(self, sample: str) -> np.ndarray:
        """The sample's array, cut to the frame."""
        array = self.feature[sample]
        if "frame" not in self.feature.dims:
            return array
        number = int(self.feature.table.loc[[sample], self.mark].iloc[0])
        position = self.feature.position(sample)
        if number >= 0 and len(position):
            index = int(np.argmin(np.abs(position - number)))
        elif self.panel.kind == "flow":  # nobody annotated an apex
            index = int(np.argmax(motion(self.panel.values(array))))
        else:
            index = len(array) // 2
        return array[index : index + 1]


def mistakes(
    account: Account, store: Store | None, faces: bool, limit: int, tick: Callable[[], object] = lambda: None
) -> Mistakes:
    """The `limit` surest of them (of action units: those with most errors). tick: called after each."""
    wrong = [p for p in account.predictions if not p.right]
    if store is None or not wrong:
        return Mistakes(len(wrong))
    chosen = sorted(wrong, key=lambda p: (-_gravity(account, p), p.sample))[:limit]
    shots = {name: _shots(store, of.snapshot, [w.path for w in of.features.values()], faces)
             for name, of in account.features.read.items()}  # fmt: skip
    pooled = len(shots) > 1
    places = [(p, database(p.sample) if pooled else next(iter(shots))) for p in chosen]
    scales = _scales([(shot, _id(p, pooled)) for p, name in places for shot in shots.get(name, ())])
    shown = []
    for p, name in places:
        shown.append(_mistake(p, _id(p, pooled), shots.get(name, []), scales))
        tick()
    used = {shot.panel.name: shot.panel for of in shots.values() for shot in of if shot.panel.name in scales}
    keys = [Picture(photograph(used[n].key(s)), f"{n}: full colour is {s:.2g} px and more") for n, s in scales.items()]
    return Mistakes(len(wrong), shown, keys, [n for n, of in shots.items() if any(map(_shows_face, of))])


def _gravity(account: Account, p: Prediction) -> float:
    if p.chance is not None:
        return p.chance
    return float(np.sum(np.array(account.encoded(p.true)) != np.array(account.encoded(p.predicted))))


def _id(p: Prediction, pooled: bool) -> str:
    return p.sample.partition("/")[2] if pooled else p.sample


def _shows_face(shot: _Shot) -> bool:
    return bool(shot.feature.attributes.get("shows_face", True))


def _shots(store: Store, snapshot: str, read: list[str], faces: bool) -> list[_Shot]:
    """What of a snapshot is shown: frames at onset and apex, flow at the apex; what the run read comes first."""
    try:
        of = sorted(store.of(store.snapshot(snapshot)), key=lambda f: (f.path not in read, f.path))
    except MepipeError:
        return []
    features: dict[str, Feature] = {}
    for feature in of:
        features.setdefault(feature.path.split("/")[1][:-9], feature)
    found = [(p, features[p.node]) for p in panels(features)]
    made = []
    clips = [one for one in found if one[0].kind == "picture" and "frame" in one[1].dims]
    for panel, feature in sorted(clips, key=lambda one: one[0].node != "frames")[:1]:
        made += [_Shot(panel, feature, f"{mark} ({panel.name})", mark) for mark in ("onset", "apex")]
    for panel, feature in [one for one in found if one[0].kind == "flow"][:1]:
        made.append(_Shot(panel, feature, f"flow at the apex ({panel.name})", "apex"))
    return [shot for shot in made if faces or not _shows_face(shot)]


def _scales(wanted: Iterable[tuple[_Shot, str]]) -> dict[str, float]:
    """One scale for all flow that is shown, by panel."""
    by_panel: dict[str, tuple[Panel, list[np.ndarray]]] = {}
    for shot, sample in wanted:
        if shot.panel.kind == "flow" and sample in shot.feature.done:
            by_panel.setdefault(shot.panel.name, (shot.panel, []))[1].append(shot.frame(sample))
    return {name: panel.scale(arrays) for name, (panel, arrays) in by_panel.items()}


def _mistake(p: Prediction, sample: str, shots: list[_Shot], scales: Mapping[str, float]) -> Mistake:
    if not shots:
        return Mistake(p, "", [], "the store has no pictures of this snapshot")
    pictures = []
    try:
        for shot in shots:
            array = shot.frame(sample)
            scale = scales.get(shot.panel.name) or shot.panel.scale([array])
            pictures.append(Picture(photograph(shot.panel.rgb(array, scale)[0]), shot.caption))
        return Mistake(p, _annotated(shots[0].feature, sample), pictures)
    except (MepipeError, KeyError) as error:
        return Mistake(p, "", [], str(error))


def _annotated(feature: Feature, sample: str) -> str:
    emotion, aus = (str(feature.table.loc[[sample], name].iloc[0]) for name in ("emotion", "aus"))
    return " · ".join(part for part in (emotion, f"AU {aus}" if aus else "") if part)
