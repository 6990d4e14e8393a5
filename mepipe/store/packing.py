"""Packing a finished feature: many samples into one file, for archives and object storage; and unpacking it.

The values, their digests and the ledger stay as they are; what changes is the document of the data, `data/zarr.json`.
Plain chunks are `data/c.0.0...`, shards `data/c/0/0...`: both can lie there, and readers see those that the document
speaks of. So the other layout is written beside, read back and compared with every digest; then the document is
replaced, by one write. Stopped anywhere, the feature is what it was, or packed. What is no longer spoken of stays until
gc, for those who began to read before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mepipe.errors import MepipeError
from mepipe.store import seal
from mepipe.store.feature import Feature, digest
from mepipe.store.zarr_store import PlaceStore

if TYPE_CHECKING:
    from zarr.abc.store import Store

SHARD = 64 << 20  # bytes: large enough for object storage, small enough to be held in memory
_INDEX = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]


def pack(feature: Feature, tick: Callable[[], object] = lambda: None, shard: int = SHARD) -> Feature:
    """Put the samples of a finished feature into shards of about so many bytes; the feature as it is then.

    MepipeError where samples are missing or damaged; nothing has changed then.
    """
    if feature.packed:
        return feature
    document = _document(feature)
    if feature.missing:
        msg = f"{feature.path}: {len(feature.missing)} samples are missing. Run mepipe extract, then pack it."
        raise MepipeError(msg)
    inner = document["chunk_grid"]["configuration"]["chunk_shape"]
    whole = [-(-size // part) * part for size, part in zip(feature.shape[1:], inner[1:], strict=True)]
    count = max(1, min(len(feature), shard // max(1, math.prod(whole) * feature.dtype.itemsize)))
    sharding = {"chunk_shape": inner, "codecs": document["codecs"], "index_codecs": _INDEX, "index_location": "end"}
    packed = document | {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [count, *whole]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    return _laid_out(feature, packed, count, tick)


def unpack(feature: Feature, tick: Callable[[], object] = lambda: None) -> Feature:
    """Back to files of one sample each, which extract can repair one by one; the feature as it is then.

    Damaged samples are left behind: they are gone afterwards, so that `verify` and extract see to them.
    """
    if not feature.packed:
        return feature
    document = _document(feature)
    sharding = document["codecs"][0]["configuration"]
    plain = document | {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": sharding["chunk_shape"]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "codecs": sharding["codecs"],
    }
    return _laid_out(feature, plain, 1, tick)


def leftovers(feature: Feature) -> list[str]:
    """The files of a feature's data that are of the layout it no longer has."""
    own = "c/" if feature.packed else "c."
    names = feature.place.files(f"{feature.path}/data")
    return [f"{feature.path}/data/{n}" for n in names if n[:2] in ("c.", "c/") and n[:2] != own]


def _document(feature: Feature) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(feature.place.read(f"{feature.path}/data/zarr.json"))
    return found


def _laid_out(feature: Feature, document: dict[str, Any], count: int, tick: Callable[[], object]) -> Feature:
    """The feature with its data as the document says, `count` samples a file."""
    packing = not feature.packed
    back = _array(document, PlaceStore(feature.place, feature.path))
    for start in range(0, len(feature), count):
        values = dict(_values(feature, range(start, min(start + count, len(feature))), strict=packing))
        if values:
            for name, content in _encoded(feature, document, start, values, packing).items():
                feature.place.write(f"{feature.path}/data/{name}", content)
        for index, array in values.items():
            found = np.asarray(back[(index, *map(slice, array.shape))])
            if digest(found) != digest(array):
                msg = f"{feature.path}: {feature.ids[index]} was not read back as it was written. Check the disk."
                raise MepipeError(msg)
            tick()
    content = json.dumps(document).encode()
    seal.allow(feature.place, feature.path, "data/zarr.json", content)
    feature.place.write(f"{feature.path}/data/zarr.json", content)
    return Feature(feature.place, feature.path)


def _values(feature: Feature, indices: range, strict: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Index and array of samples that are done and as their digests say. strict: MepipeError where one is not."""
    for index in indices:
        record = feature.records.get(feature.ids[index])
        if record is None or record.state != "done":
            continue
        try:
            array = feature.read(index)
            if digest(array) != record.digest:
                msg = f"{feature.path}: the values of {record.sample} are not those that were written."
                raise MepipeError(msg)
        except MepipeError as error:
            if strict:
                msg = f"{error}\nRun mepipe store verify --deep, then extract, then pack it."
                raise MepipeError(msg) from error
            continue
        yield index, array


def _encoded(
    feature: Feature, document: dict[str, Any], start: int, values: dict[int, np.ndarray], packing: bool
) -> dict[str, bytes]:
    """Samples from `start` on as files, by name in the folder of the data."""
    frames = [] if feature._lengths is None else [len(array) for array in values.values()]
    part = document["chunk_grid"]["configuration"]["chunk_shape"][1] if frames else 1
    end = feature.shape[1:2] if packing or not frames else (min(feature.shape[1], -(-max(frames) // part) * part),)
    block = np.full((max(values) + 1 - start, *end, *feature.shape[2:]), float(document["fill_value"]), feature.dtype)
    for index, array in values.items():
        block[(index - start, *map(slice, array.shape))] = array
    # Shards need not hold what only fills up shorter clips, but a file must come of it.
    return _files(document, start, block, every=not packing) or _files(document, start, block, every=True)


def _files(document: dict[str, Any], start: int, block: np.ndarray, *, every: bool) -> dict[str, bytes]:
    from zarr.storage import MemoryStore

    content: dict[str, Any] = {}
    array = _array(document, MemoryStore(content), every=every)
    array[(slice(start, start + len(block)), *map(slice, block.shape[1:]))] = block
    return {name.removeprefix("data/"): buffer.to_bytes() for name, buffer in content.items()}


def _array(document: dict[str, Any], store: Store, *, every: bool = True) -> Any:
    """The array of a document, wherever its files lie. every: write chunks of nothing but the fill value, too."""
    import zarr
    from zarr.core.array import AsyncArray
    from zarr.core.array_spec import ArrayConfig
    from zarr.core.metadata.v3 import ArrayV3Metadata
    from zarr.storage import StorePath

    config = ArrayConfig(order="C", write_empty_chunks=every)
    found = AsyncArray(ArrayV3Metadata.from_dict(document), StorePath(store, "data"), config)
    return zarr.Array(found)
