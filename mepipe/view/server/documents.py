"""What the page is told in JSON: a dataset by column, and one sample."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mepipe.datasets import aus
from mepipe.errors import MepipeError
from mepipe.view.look import Panel
from mepipe.view.sample import MARKS, motion
from mepipe.view.server.catalog import Dataset, Shown, panel_name, place, told
from mepipe.view.server.pictures import Strip
from mepipe.view.server.qc import Checked

_TEXTS = ("subject", "emotion", "aus", "note", "clip")
_MANIFEST = ("subject", "clip", "emotion", "aus", "objective", "note")


def to_json(content: object) -> bytes:
    """Compact, and never NaN, which browsers do not read."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def dataset(found: Dataset, checked: Checked) -> dict[str, Any]:
    """All samples by column, so that the page filters without asking again; texts once each, and their numbers.

    checked: what `mepipe qc` said of it.
    """
    about = {"name": found.name, "snapshot": found.snapshot, "problem": found.problem, "marks": MARKS}
    if found.table is None:
        return about
    ids = [str(name) for name in found.table.index]
    columns = {name: _coded(found.table.get(name, [""] * len(ids))) for name in _TEXTS}
    columns["aus"]["units"] = [_units(text) for text in columns["aus"]["values"]]
    features = [_feature(shown, found, ids) for shown in found.features.values()]
    return {**about, "id": ids, "columns": columns, "features": features, "qc": _qc(found, checked)}


def _coded(texts: Iterable[Any]) -> dict[str, Any]:
    places: dict[str, int] = {}
    codes = [places.setdefault(str(text), len(places)) for text in texts]
    return {"values": list(places), "codes": codes}


def _units(text: str) -> list[int]:
    """The numbers of the action units in an annotation, alternatives and doubted ones among them."""
    try:
        units = [unit for term in aus.parse(text) for unit in term.alternatives]
    except MepipeError:  # of a table that did not come through a manifest
        return []
    return sorted({unit.number for unit in units if unit.kind == "AU"})


def _feature(shown: Shown, found: Dataset, ids: Sequence[str]) -> dict[str, Any]:
    about = {
        "folder": shown.folder,
        "node": shown.node,
        "label": shown.label,
        "recipe": shown.recipe,
        "snapshot": shown.feature.path.partition("/")[0],
        "problem": shown.problem,
    }
    if shown.problem:
        return about
    failed: dict[str, list[int]] = defaultdict(list)
    undone: list[int] = []
    states = shown.feature.states
    for row, name in enumerate(ids):
        state = states.of(name)
        if state == "failed":
            failed[states.reasons[name]].append(row)
        elif state != "done":
            undone.append(row)
    # A snapshot of some samples only asks nothing of the others: `manifest spot` has the apex of those without one.
    asked = set(shown.feature.ids) if undone else set()
    names = ("key", "stage", "version", "params", "lineage", "units", "made_by")
    attributes = {name: shown.feature.attributes.get(name) for name in names}
    return {
        **about,
        **attributes,
        "shape": shown.feature.shape[1:],
        "dtype": str(shown.feature.dtype),
        "panels": [panel_name(shown, panel) for panel in shown.panels],
        "failed": failed,
        "missing": [row for row in undone if ids[row] in asked],
        "unasked": [row for row in undone if ids[row] not in asked],
    }


def _qc(found: Dataset, checked: Checked) -> dict[str, Any]:
    if not checked.snapshot:
        return {"command": f"mepipe qc --dataset {found.name}", "problem": checked.problem}
    ids = found.places()
    return {
        "flags": checked.by_flag(ids),
        "scores": [checked.score(name) for name in ids],
        "old": checked.snapshot != found.snapshot,
        "thresholds": checked.thresholds,
    }


def sample(found: Dataset, name: str, checked: Checked) -> dict[str, Any] | None:
    """One sample: its row, its panels with their scales, frame numbers and motion, landmarks; None for an unknown."""
    row = found.row(name)
    if row is None:
        return None
    numbers = {mark: int(row.get(mark, -1)) for mark in MARKS}
    fps = float(row.get("fps", 0))
    return {
        "id": name,
        "about": {key: str(row[key]) for key in _MANIFEST if key in row},
        "marks": numbers,
        "fps": fps if math.isfinite(fps) and fps > 0 else None,
        "flags": checked.flags(name),
        "panels": _panels(found, name),
        "landmarks": _landmarks(found, name),
    }


def _panels(found: Dataset, name: str) -> list[dict[str, Any]]:
    """All panels of a sample, in the order to look; first the features of which nothing can be read, and why."""
    broken = [_absent(shown.folder, shown.label, shown.problem) for shown in found.features.values() if shown.problem]
    made = [
        (place(shown, panel), about)
        for shown in found.features.values()
        for panel, about in zip(shown.panels, _of(shown, name), strict=True)
    ]
    return broken + [about for _, about in sorted(made, key=lambda one: one[0])]


def _of(shown: Shown, name: str) -> list[dict[str, Any]]:
    """The panels of one feature, or why this sample has none."""
    if not shown.panels:
        return []
    try:
        array, positions = shown.feature[name], shown.feature.position(name)
        return [_panel(shown, panel, array, positions) for panel in shown.panels]
    except Exception as error:
        reason = shown.feature.states.reasons.get(name) or told(error)
        return [
            _absent(panel_name(shown, panel), _title(shown, panel), reason) | {"kind": panel.kind}
            for panel in shown.panels
        ]


def _absent(panel: str, title: str, reason: str) -> dict[str, Any]:
    return {"panel": panel, "name": title, "kind": "picture", "absent": reason}


def _title(shown: Shown, panel: Panel) -> str:
    return f"{shown.label} · {panel.part}" if panel.part else shown.label


def _panel(shown: Shown, panel: Panel, array: np.ndarray, positions: np.ndarray) -> dict[str, Any]:
    values = panel.values(array)
    fit = np.isfinite(values)
    strip = Strip.of(values.shape, panel.kind)
    return {
        "panel": panel_name(shown, panel),
        "name": _title(shown, panel),
        "kind": panel.kind,
        "units": panel.units,
        "scale": panel.scale([array if fit.all() else np.nan_to_num(array, nan=0, posinf=0, neginf=0)]),
        "unfit": round(1 - float(fit.mean()), 4),
        "positions": [float(positions[i]) for i in strip.chosen] if len(positions) else [],
        "frames": strip.frames,
        "size": [strip.width, strip.height],
        "rows": strip.rows,
        "shown": len(strip.chosen),
        "motion": _finite(motion(values)[strip.chosen]) if panel.kind == "flow" else [],
    }


def _finite(values: Iterable[float]) -> list[float | None]:
    return [round(float(value), 4) if math.isfinite(value) else None for value in values]


def _landmarks(found: Dataset, name: str) -> dict[str, Any] | None:
    """Points in pixels of the aligned frames, [frame][point][x, y]: one frame where they stand for the clip."""
    for shown in found.features.values():
        if shown.problem or shown.feature.dims[-2:] != ("point", "channel"):
            continue
        try:
            points = np.asarray(shown.feature[name], np.float64)
            positions = shown.feature.position(name).tolist()
        except MepipeError:
            continue
        if points.shape[-1] == 2 and points.ndim in (2, 3) and np.isfinite(points).all():
            frames = points if points.ndim == 3 else points[None]
            return {"positions": positions, "points": np.round(frames, 1).tolist()}
    return None
