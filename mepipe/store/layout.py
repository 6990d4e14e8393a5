"""Building the frozen parts of a store: the root, a snapshot with its samples, a feature's empty arrays.

Each is made in a private folder and renamed in whole, so it is there or it is not; of two makers one wins, and
the other uses the winner's. Nothing here is edited afterwards: no array grows, no attribute changes.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mepipe.errors import MepipeError
from mepipe.store import seal
from mepipe.store.place import Folder, Place

if TYPE_CHECKING:
    import zarr

FORMAT = 1
FRAMES_PER_CHUNK = 16  # where clips differ in length: a chunk's shape must not depend on which clips there are
EMPTY_GROUP: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": {}}


@dataclass(frozen=True)
class FeatureSpec:
    """What the skeleton of a feature is made of.

    folder: `<node>-<first 8 of the key>`. dims, shape: of the largest sample, without `sample`.
    positions: for each sample the frame numbers along `frame`; None where there is no such axis.
    varying: whether clips may differ in length (under any manifest, not only this one).
    attributes: key, stage, params, lineage, units...: plain JSON.
    """

    folder: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    channels: tuple[str, ...]
    positions: Sequence[np.ndarray] | None
    varying: bool
    attributes: Mapping[str, Any]


def create_root(place: Place) -> None:
    """Make an empty store where there is none; MepipeError where something else is there."""
    group = {**EMPTY_GROUP, "attributes": {"mepipe_store": FORMAT}}
    if not _is(place, "zarr.json", group):
        if {name for name in place.children("") if "@" not in name} - {"refs", "qc", "zarr.json"}:
            msg = f"{place.url} is a folder with other things in it, not a store. Name an empty or a new folder."
            raise MepipeError(msg)
        try:
            place.write("zarr.json", json.dumps(group).encode())
        except OSError as error:
            msg = f"{place.url}: no store can be made there ({error.strerror}). Name a folder that can be written."
            raise MepipeError(msg) from None
    make_plain_folder(place, "refs")


def make_plain_folder(place: Place, path: str) -> None:
    """A folder for mepipe's own files that Zarr readers see as an empty group."""
    if not _is(place, f"{path}/zarr.json", EMPTY_GROUP):
        place.write(f"{path}/zarr.json", json.dumps(EMPTY_GROUP).encode())


def _is(place: Place, path: str, group: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(place.read(path)) == group)
    except (FileNotFoundError, ValueError, RecursionError):
        return False


# Columns of a sample table that are whole numbers, -1 where unknown.
NUMBERS = ("onset", "apex", "offset", "objective")


def snapshot_name(dataset: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """`<dataset>@<8 hex>`: the identity of these samples with these fingerprints, in this order."""
    text = json.dumps(list(rows), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"{dataset}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def create_snapshot(place: Place, dataset: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Freeze a manifest's samples; returns the snapshot's name. rows: manifest fields and `frames`, their digest."""
    name = snapshot_name(dataset, rows)

    def fill(private: Path) -> None:
        import zarr

        group = zarr.open_group(private, mode="w", zarr_format=3)
        group.attrs.update({"dataset": dataset, "mepipe_store": FORMAT})
        for column in rows[0]:
            values = [row[column] for row in rows]
            if column in NUMBERS:
                numbers = np.array([-1 if v is None else v for v in values], np.int64)
                _coordinate(group, column, numbers, ("sample",), {"missing": -1})
            elif column == "fps":
                _coordinate(group, column, np.array(values, np.float64), ("sample",), {"units": "1/s"})
            else:
                _coordinate(group, column, np.array(values, object), ("sample",))

    _freeze(place, name, fill)
    return name


def _freeze(place: Place, path: str, fill: Callable[[Path], None]) -> None:
    """Make a frozen folder where there is none, and make again what of it is damaged."""
    if not place.children(path):
        with place.building(path) as private:
            fill(private)
            seal.close(private)
    elif seal.broken(place, path):
        with tempfile.TemporaryDirectory(prefix="mepipe-") as name:
            fill(Path(name) / "new")
            seal.close(Path(name) / "new")
            seal.mend(place, Path(name) / "new", path)


def create_feature(place: Place, snapshot: str, ids: Sequence[str], spec: FeatureSpec) -> None:
    """Make a feature's arrays, empty, and its ledger's folder, unless they are there."""
    _freeze(place, f"{snapshot}/{spec.folder}", lambda private: _fill_feature(private, ids, spec))


def _fill_feature(private: Path, ids: Sequence[str], spec: FeatureSpec) -> None:
    import zarr  # takes half a second, which nobody who only reads should pay
    from zarr.codecs import Crc32cCodec

    group = zarr.open_group(private, mode="w", zarr_format=3)
    group.attrs.update({**spec.attributes, "mepipe_store": FORMAT})
    chunk = list(spec.shape)
    if spec.varying:
        chunk[spec.dims.index("frame")] = FRAMES_PER_CHUNK
    group.create_array(
        "data",
        shape=(len(ids), *spec.shape),
        chunks=(1, *chunk),
        dtype=spec.dtype,
        compressors=[Crc32cCodec()],
        fill_value=float("nan") if spec.dtype.startswith("float") else 0,
        dimension_names=("sample", *spec.dims),
        config={"write_empty_chunks": True},
        chunk_key_encoding={"name": "default", "separator": "."},  # one folder of files: fewer objects, fewer flushes
        attributes={"units": spec.attributes["units"]},
    )
    _coordinate(group, "sample", np.array(ids, object), ("sample",))
    if spec.channels:
        _coordinate(group, "channel", np.array(spec.channels, object), ("channel",))
    if spec.positions is not None:
        longest = spec.shape[spec.dims.index("frame")]
        position = np.full((len(ids), longest), np.nan)
        for row, numbers in zip(position, spec.positions, strict=True):
            row[: len(numbers)] = numbers
        lengths = np.array([len(p) for p in spec.positions], np.int64)
        _coordinate(group, "length", lengths, ("sample",), {"long_name": "valid frames"})
        _coordinate(group, "position", position, ("sample", "frame"), {"long_name": "frame number"})
    make_plain_folder(Folder(private), "ledger")


def _coordinate(
    group: zarr.Group,
    name: str,
    values: np.ndarray,
    dims: tuple[str, ...],
    attributes: dict[str, Any] | None = None,
) -> None:
    from zarr.codecs import Crc32cCodec

    text = values.dtype == object
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(max(1, n) for n in values.shape),
        dtype=str if text else values.dtype,
        compressors=[Crc32cCodec()],
        fill_value="" if text else values.dtype.type(-1),
        dimension_names=dims,
        config={"write_empty_chunks": True},
        attributes=attributes or {},
    )
    array[...] = values
