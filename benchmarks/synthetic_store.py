"""A store of many synthetic samples, made in seconds: a disc moves by a known amount, in a known direction.

The first `distinct` samples are computed; the files of the others are further names of theirs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mepipe import store
from mepipe.ops.strain import strain
from mepipe.store import layout
from mepipe.store.feature import Feature, digest
from mepipe.store.ledger import Record

FRAMES = 16
APEX = 7  # of the frames
STEP = 5  # frames of the clip between two
FPS = 200.0
EMOTIONS = ("happiness", "surprise", "disgust", "repression", "anger", "others")
UNITS = ("6+12", "1+2", "4+R9", "14|L15", "4+7", "")
WHY = "align: no face in the onset frame."
_SOURCE = {"stage": "align", "version": 1, "params": {"size": 224}, "libraries": {}, "upstream": "source"}
_CLIP = ("frame", "y", "x", "channel")
_NODES: dict[str, tuple[str, tuple[str, ...], str, str]] = {  # stage, dims, dtype, units
    "frames": ("sample", _CLIP, "uint8", "grey level, 0..255"),
    "magnify.frames": ("magnify-eulerian", _CLIP, "float16", "grey level, 0..1, not clipped"),
    "flow.tvl1": ("flow", ("frame", "channel", "y", "x"), "float16", "px"),
    "strain": ("strain", ("frame", "y", "x"), "float16", "1"),
    "motion-map": ("strain", ("frame", "channel", "y", "x"), "float32", "px, px, 1"),
    "rank-pool": ("rank-pool", ("y", "x", "channel"), "uint8", "grey level, 0..255, stretched"),
    "landmarks": ("landmarks", ("point", "channel"), "float32", "px"),
}


def make(root: Path, count: int, size: int = 224, fail_every: int = 100, distinct: int = 48) -> store.Store:
    """A store of `count` samples of `size` pixels; every `fail_every`-th failed, and the last has no strain yet."""
    opened = store.create(root)
    rows = [_row(i) for i in range(count)]
    ids = [row["id"] for row in rows]
    snapshot = layout.create_snapshot(opened.place, "synthetic", rows)
    example = values(0, size)
    folders: dict[str, str] = {}
    for number, node in enumerate(_NODES):
        spec = _spec(node, number, rows, example[node])
        layout.create_feature(opened.place, snapshot, ids, spec)
        folders[node] = spec.folder
    features = {node: Feature(opened.place, f"{snapshot}/{folder}") for node, folder in folders.items()}
    kept: dict[str, list[Record]] = {node: [] for node in features}
    for index, sample in enumerate(ids):
        failed = fail_every and index % fail_every == fail_every - 1
        made = values(index, size) if index < distinct else None
        for node, record in _records(root, features, (index, index % distinct), sample, made, bool(failed)):
            if not (node == "strain" and index == count - 1):
                kept[node].append(record)
    for node, feature in features.items():
        feature.ledger.append(kept[node])
    opened.set_ref("synthetic", "features", snapshot, folders)
    return opened


def amount(index: int) -> tuple[float, float]:
    """How far (px) and whereto (radians, 0 right, pi/2 down) the disc of a sample has moved at its apex."""
    return 0.5 + 0.25 * (index % 6), index * math.pi / 4


def course(frame: np.ndarray | int) -> np.ndarray:
    """The share of that at a frame: 0 at onset and offset, 1 at the apex."""
    where = np.asarray(frame, np.float64)
    share = np.where(where < APEX, where / APEX, (FRAMES - 1 - where) / (FRAMES - 1 - APEX))
    return np.asarray(np.sin(share * math.pi / 2) ** 2)


def values(index: int, size: int) -> dict[str, np.ndarray]:
    """All features of a sample."""
    far, angle = amount(index)
    y, x = np.mgrid[:size, :size] / size - 0.5
    disc = np.hypot(x, y) < 0.28
    share = course(np.arange(FRAMES))
    flow = np.zeros((FRAMES, 2, size, size), np.float32)
    flow[:, 0, disc] = share[:, None] * far * math.cos(angle)
    flow[:, 1, disc] = share[:, None] * far * math.sin(angle)
    rng = np.random.default_rng(index)
    face = 128 + 60 * np.cos(9 * x + index) * np.cos(7 * y) + rng.normal(0, 4, (size, size))
    frames = np.clip(face + 30 * share[:, None, None] * disc, 0, 255).astype(np.uint8)
    frames = np.repeat(frames[..., None], 3, axis=-1)
    strained = strain(flow)
    points = np.stack([x[disc], y[disc]], axis=-1)[:: max(1, int(disc.sum()) // 68)][:68]
    apex = np.concatenate([flow[APEX], strained[APEX][None]])[None]
    return {
        "frames": frames,
        "magnify.frames": (frames / 255 + 0.2 * share[:, None, None, None] * disc[..., None]).astype(np.float16),
        "flow.tvl1": flow[1:].astype(np.float16),
        "strain": strained[1:].astype(np.float16),
        "motion-map": apex.astype(np.float32),
        "rank-pool": frames[APEX],
        "landmarks": ((points + 0.5) * size).astype(np.float32),
    }


def _row(index: int) -> dict[str, Any]:
    subject = f"s{index // 40:03d}"
    onset = 100 + index % 7
    times = {"onset": onset, "apex": onset + APEX * STEP, "offset": onset + (FRAMES - 1) * STEP, "fps": FPS}
    about = {"emotion": EMOTIONS[index % 6], "aus": UNITS[(index // 2) % 6], "objective": 1 + index % 5}
    about |= {"note": "", "split": "", "missing": ""}
    sample = f"{subject}_{index % 40:02d}"
    return {
        "id": sample,
        "subject": subject,
        "clip": f"{subject}/{sample}",
        **times,
        **about,
        "frames": f"{index:032x}",
    }


def _positions(node: str, row: dict[str, Any]) -> np.ndarray:
    every = row["onset"] + STEP * np.arange(FRAMES, dtype=np.float64)
    return {"frames": every, "magnify.frames": every, "motion-map": every[APEX : APEX + 1]}.get(node, every[1:])


def _spec(node: str, number: int, rows: list[dict[str, Any]], example: np.ndarray) -> layout.FeatureSpec:
    stage, dims, dtype, units = _NODES[node]
    lineage = {"stage": stage, "version": 1, "params": {}, "libraries": {}, "upstream": _SOURCE}
    key = f"{number + 1:08x}" * 8
    return layout.FeatureSpec(
        folder=f"{node}-{key[:8]}",
        dims=dims,
        shape=example.shape,
        dtype=dtype,
        channels=(),
        positions=[_positions(node, row) for row in rows] if "frame" in dims else None,
        varying=False,
        attributes={"key": key, "node": node, "stage": stage, "version": 1, "params": {}, "units": units}
        | {"lineage": lineage, "reads": ["onset", "offset"], "shows_face": node != "flow.tvl1"},
    )


def _records(
    root: Path,
    features: dict[str, Feature],
    places: tuple[int, int],
    sample: str,
    made: dict[str, np.ndarray] | None,
    failed: bool,
) -> Iterator[tuple[str, Record]]:
    """The records of a sample, its files once they are there. places: of it, and of the one whose files it shares."""
    for node, feature in features.items():
        if made is not None:
            feature.write(sample, made[node])
        else:
            for path, known in zip(feature.chunks(places[0]), feature.chunks(places[1]), strict=True):
                os.link(root / known, root / path)
        what = digest(made[node]) if made is not None else f"{places[0]:032x}"
        yield node, Record(sample, "failed", "", reason=WHY) if failed else Record(sample, "done", "", digest=what)
