"""A file that `exchange.export` wrote, or that says so: everything about it is checked before anything is taken."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mepipe.errors import MepipeError
from mepipe.store import Store, _h5, arrival, exchange, layout
from mepipe.store._h5 import refuse
from mepipe.store.arrival import Incoming
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record

_SNAPSHOT = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)@[0-9a-f]{8}")
_FOLDER = re.compile(r"([a-z0-9][a-z0-9._-]*)-[0-9a-f]{8}")
_RECIPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_DIM = re.compile(r"[a-z][a-z0-9_]*")
_HEX = re.compile(r"[0-9a-f]*")
_RESERVED = ("data", "samples")  # what stands beside the dimension scales


@dataclass(frozen=True)
class Package:
    """What is in a file. refs: {dataset: {recipe: {"snapshot", "nodes"}}}, of features that are in it."""

    features: list[Incoming]
    refs: Mapping[str, Mapping[str, Mapping[str, Any]]]


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """The content of an exported file, checked; values are read as long as it is open.

    MepipeError, one line, for whatever is not as `exchange.export` writes it.
    """
    with _h5.open_file(path) as file:
        with _h5.guard(path):
            found = _package(file, path)
        yield found


def _package(file: h5py.File, path: Path) -> Package:
    if "format" not in file.attrs or _h5.text(file, "format") != exchange.FORMAT:
        msg = (
            f"{path}: not an export of mepipe. Features computed elsewhere come with a list of samples: "
            f"mepipe store import {path} --csv LIST.csv --dataset NAME"
        )
        raise MepipeError(msg)
    if _h5.text(file, "version") != str(exchange.VERSION):
        msg = f"{path}: format {_h5.text(file, 'version')}, and {exchange.VERSION} is known. Update mepipe."
        raise MepipeError(msg)
    features = [one for snapshot in file for one in _snapshot(file, snapshot)]
    return Package(features, _refs(file, features))


def set_refs(store: Store, package: Package) -> list[str]:
    """Make the features found by name; returns `dataset/recipe` of each ref.

    A recipe's ref that is here already and names other features stays: then they get one of their own, which comes
    after it.
    """
    names: list[str] = []
    for dataset, refs in package.refs.items():
        here = store.refs(dataset) if dataset in store.datasets() else {}
        for recipe, ref in refs.items():
            snapshot, nodes = str(ref["snapshot"]), dict(ref["nodes"])
            mine = here.get(recipe)
            name = recipe
            if mine and not (mine.snapshot == snapshot and nodes.items() <= mine.nodes.items()):
                identity = hashlib.sha256(json.dumps([snapshot, nodes], sort_keys=True).encode()).hexdigest()
                name = f"{recipe}+{identity[:8]}"
            if mine is None or name != recipe:
                store.set_ref(dataset, name, snapshot, nodes)
            names.append(f"{dataset}/{name}")
    return names


def _json(item: h5py.Group, name: str, kind: type) -> Any:
    try:
        value = json.loads(_h5.text(item, name))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        raise refuse(_h5.place(item), f"attribute {name!r} is not JSON of the kind expected")
    return value


def _snapshot(file: h5py.File, name: str) -> list[Incoming]:
    found = _SNAPSHOT.fullmatch(name)
    if not found:
        raise refuse(_h5.place(file), f"{name!r} cannot be a snapshot")
    group = _h5.group_at(file, name)
    table = _h5.group_at(group, "samples")
    ids = _h5.column(table, "id", "S")
    kinds = {**dict.fromkeys(exchange.TEXTS, "S"), **dict.fromkeys(layout.NUMBERS, "i"), "fps": "f"}
    rows = exchange.rows({c: _h5.column(table, c, kind, len(ids)).tolist() for c, kind in kinds.items()})
    for number, row in enumerate(rows):
        arrival.check_row(row, f"{_h5.place(table)}, row {number}")
    if not rows or len(set(ids)) < len(ids):
        raise refuse(_h5.place(table), "has no samples, or one of them twice")
    if layout.snapshot_name(found[1], rows) != name:
        raise refuse(_h5.place(table), "is not the table that the snapshot is named after")
    return [_feature(group, folder, found[1], rows) for folder in group if folder != "samples"]


def _feature(parent: h5py.Group, folder: str, dataset: str, rows: list[dict[str, Any]]) -> Incoming:
    found = _FOLDER.fullmatch(folder)
    if not found:
        raise refuse(_h5.place(parent), f"{folder!r} cannot be a feature")
    group = _h5.group_at(parent, folder)
    about, dims = _json(group, "attributes", dict), _json(group, "dims", list)
    texts = all(isinstance(about.get(name), str) for name in ("key", "node", "units", "stage"))
    described = texts and isinstance(about.get("shows_face"), bool) and _lineage(about.get("lineage"))
    if not described or folder != f"{about['node']}-{about['key'][:8]}" or not isinstance(about.get("reads"), list):
        raise refuse(_h5.place(group), "its attributes do not describe it (key, node, stage, lineage, units, ...)")
    good = all(isinstance(d, str) and _DIM.fullmatch(d) and d not in _RESERVED for d in dims)
    if not good or len(set(dims)) < len(dims) or dims[:1] != ["sample"]:
        raise refuse(_h5.place(group), f"dims {dims} cannot be those of a feature")
    framed = dims[1:2] == ["frame"]
    if ("frame" in dims) != framed or (_json(group, "varying", bool) and not framed):
        raise refuse(_h5.place(group), f"has dims {dims}: frames should be the second axis")
    data = _h5.member(group, "data")
    if not isinstance(data, h5py.Dataset) or data.shape is None or len(data.shape) != len(dims) or 0 in data.shape[1:]:
        raise refuse(_h5.place(data), f"should be an array with axes {dims}")
    channels = _json(group, "channels", list)
    sizes = dict(zip(dims, data.shape, strict=True))
    if channels and (len(channels) != sizes.get("channel") or not all(isinstance(c, str) for c in channels)):
        raise refuse(_h5.place(group), f"has {len(channels)} names for {sizes.get('channel')} channels")
    records, places = _records(group, [str(row["id"]) for row in rows], len(data))
    positions = _positions(group, len(rows), sizes) if framed else None
    lengths = {row["id"]: len(p) for row, p in zip(rows, positions, strict=True)} if positions is not None else {}
    size = _declared(data, [lengths[s] for s in places] if lengths else None)
    _h5.check(data, size)
    spec = FeatureSpec(
        folder=folder,
        dims=tuple(dims[1:]),
        shape=tuple(data.shape[1:]),
        dtype=_h5.numeric(data).name,
        channels=tuple(channels),
        positions=positions,
        varying=_json(group, "varying", bool),
        attributes=about,
    )

    def read(sample: str) -> np.ndarray:
        sides = list(data.shape[1:])
        if lengths:
            sides[0] = lengths[sample]
        where = slice(places[sample], places[sample] + 1)
        values: np.ndarray = _h5.read(data, (where, *(slice(0, n) for n in sides)))[0]
        return values

    return Incoming(dataset, rows, spec, records, read)


def _lineage(value: Any) -> bool:
    """Whether it is one: of each stage name, version, parameters, libraries; at the end of the chain a name."""
    while isinstance(value, dict):
        if not {"stage", "version", "upstream"} <= set(value):
            return False
        if not isinstance(value.get("params"), dict) or not isinstance(value.get("libraries"), dict):
            return False
        value = value["upstream"]
    return isinstance(value, str)


def _declared(data: h5py.Dataset, lengths: Sequence[int] | None) -> int:
    """The bytes that will be read of an array; MepipeError where a sample is over the limit."""
    _h5.numeric(data)
    one = int(np.prod([float(n) for n in data.shape[1:]])) * data.dtype.itemsize
    if one > _h5.SAMPLE_LIMIT:
        raise refuse(_h5.place(data), f"declares {one} bytes for one sample; {_h5.SAMPLE_LIMIT} is the limit")
    return len(data) * one if lengths is None else sum(lengths) * one // data.shape[1]


def _records(group: h5py.Group, ids: list[str], stored: int) -> tuple[dict[str, Record], dict[str, int]]:
    """What is known of each sample that was done or failed; {sample: its row} of those that are there."""
    table = _h5.group_at(group, "samples")
    texts = ("sample", "state", "reason", "digest", "fingerprint")
    columns = {name: _h5.column(table, name, "S", len(ids)).tolist() for name in texts}
    columns |= {name: _h5.column(table, name, "i", len(ids)).tolist() for name in ("final", "row")}
    columns["seconds"] = _h5.column(table, "seconds", "f", len(ids)).tolist()
    hexadecimal = all(_HEX.fullmatch(v) for name in ("digest", "fingerprint") for v in columns[name])
    places = {s: row for s, row, state in zip(ids, columns["row"], columns["state"], strict=True) if state == "done"}
    known = set(columns["state"]) <= {"done", "failed", "missing", "damaged"}
    if columns["sample"] != ids or not known or not hexadecimal or not np.isfinite(columns["seconds"]).all():
        raise refuse(_h5.place(table), "is not about the samples of its snapshot")
    if len(set(places.values())) < len(places) or not all(0 <= row < stored for row in places.values()):
        raise refuse(_h5.place(table), f"names rows that are not in data, which has {stored}")
    given = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    records = {
        one["sample"]: Record(**{k: v for k, v in one.items() if k not in ("row", "final")}, final=bool(one["final"]))
        for one in given
        if one["state"] in ("done", "failed")
    }
    return records, places


def _positions(group: h5py.Group, samples: int, sizes: Mapping[str, int]) -> list[np.ndarray]:
    table = _h5.group_at(group, "samples")
    lengths = _h5.column(table, "length", "i", samples)
    padded = _h5.check(_h5.member(table, "position"))
    fits = len(lengths) == 0 or (lengths.min() >= 0 and lengths.max() <= sizes["frame"])
    if padded.dtype != np.float64 or padded.shape != (samples, sizes["frame"]) or not fits:
        raise refuse(_h5.place(table), f"does not say the frames of {samples} samples of up to {sizes['frame']}")
    numbers = _h5.read(padded, (slice(0, samples), slice(0, sizes["frame"])))
    return [row[:n] for row, n in zip(numbers, lengths.tolist(), strict=True)]


def _refs(file: h5py.File, features: Sequence[Incoming]) -> dict[str, dict[str, dict[str, Any]]]:
    """The recipes' refs; features that none names get one called `imported`, so that they are found."""
    refs = _json(file, "refs", dict)
    paths = {one.path: one for one in features}
    named: set[str] = set()
    try:
        for dataset, recipes in refs.items():
            for recipe, ref in recipes.items():
                here = {f"{ref['snapshot']}/{folder}": node for node, folder in ref["nodes"].items()}
                right = all(p in paths and paths[p].spec.attributes["node"] == node for p, node in here.items())
                mine = ref["snapshot"].startswith(f"{dataset}@") and here and right
                if not mine or not _RECIPE.fullmatch(recipe) or recipe == "zarr":  # zarr.json is Zarr's
                    raise ValueError
                named |= set(here)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise refuse(_h5.place(file), "its refs do not lead to its features") from None
    for path in sorted(set(paths) - named):
        snapshot, _, folder = path.partition("/")
        nodes = {str(paths[path].spec.attributes["node"]): folder}
        identity = "imported" if len(set(paths) - named) == 1 else f"imported-{folder}"
        refs.setdefault(paths[path].dataset, {})[identity] = {"snapshot": snapshot, "nodes": nodes}
    return refs
