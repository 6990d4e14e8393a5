"""HDF5 files from elsewhere, read with suspicion: nothing outside the file, nothing larger than it could hold.

HDF5 follows links into other files, reads raw and virtual storage of other files, allocates whatever shape is declared,
and inflates a chunk to whatever is in it (2 MB made it take 2 GB): all of this is refused before it happens. A file
made to break the HDF5 library itself is beyond this.
"""

from __future__ import annotations

import io
import itertools
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mepipe.errors import MepipeError

SAMPLE_LIMIT = 4 << 30  # bytes of one sample, and of a chunk
COLUMN_LIMIT = 1 << 28  # bytes of one column of a table
ROW_LIMIT = 10_000_000
RATIO = 1100  # bytes that a stored byte may stand for: deflate reaches 1032
CHUNKS = 1 << 16  # of one sample
_DEFLATE, _LZF = 1, 32000
_FILTERS = {_DEFLATE: "gzip", 2: "shuffle", 3: "fletcher32", _LZF: "lzf"}
_ADVICE = "Ask for the file again, or have it written anew."


class Sink(io.FileIO):
    """A new file for HDF5 to write into. HDF5 crashes where a write fails, so none seems to: `check` raises for it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self.error: OSError | None = None

    def check(self) -> None:
        """Raise the first error there was. Nothing was written from then on."""
        if self.error:
            raise self.error

    def write(self, content: Any) -> int:
        view = memoryview(content).cast("B")
        done = 0
        try:
            while done < len(view) and not self.error:
                done += super().write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self.tell() if self.error else super().truncate(size)
        except OSError as error:
            self.error = error
            return self.tell()


def open_file(path: Path) -> h5py.File:
    """The file, to be read; MepipeError where it is none."""
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        msg = f"{path}: no such file. Check the name."
        raise MepipeError(msg) from None
    except OSError as error:
        msg = f"{path}: not an HDF5 file, or a part of one ({error}). {_ADVICE}"
        raise MepipeError(msg) from None


@contextmanager
def guard(path: Path) -> Iterator[None]:
    """What HDF5 raises for a damaged file, which has no bounds, becomes a MepipeError."""
    try:
        yield
    except MepipeError:
        raise
    except Exception as error:
        raise refuse(str(path), f"is damaged ({type(error).__name__}: {error})") from error


def refuse(where: str, problem: str) -> MepipeError:
    """The error for something in a file that is not read: one line."""
    return MepipeError(" ".join(f"{where}: {problem}. {_ADVICE}".split()))


def place(item: h5py.HLObject) -> str:
    """File and name inside it, for messages."""
    return f"{item.file.filename}: {item.name}"


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """What lies under a name (`a/b`), reached by hard links only: soft and external ones may lead out of the file."""
    found = group
    for part in name.split("/"):
        where = f"{place(group)}: {name!r}"
        raw = part.encode("utf-8", "surrogateescape")
        if (
            part in ("", ".", "..")
            or b"\0" in raw
            or not isinstance(found, h5py.Group)
            or not found.id.links.exists(raw)
        ):
            raise refuse(where, "is not in the file")
        if found.id.links.get_info(raw).type != h5py.h5l.TYPE_HARD:
            raise refuse(where, "is a link that may lead to another file")
        try:
            found = found[part]
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise refuse(where, f"cannot be read ({error})") from None
    return found


def group_at(group: h5py.Group, name: str) -> h5py.Group:
    """The group under a name."""
    found = member(group, name)
    if not isinstance(found, h5py.Group):
        raise refuse(place(found), "should be a group")
    return found


def text(item: h5py.HLObject, name: str) -> str:
    """An attribute that is one text of fixed width. One of any width lies in HDF5's heap, whose damage can hang it."""
    try:
        kept = item.attrs.get_id(name)
        value = item.attrs[name].decode() if kept.shape == () and kept.dtype.kind == "S" else None
    except (KeyError, OSError, ValueError, TypeError, RuntimeError):
        value = None
    if value is None:
        raise refuse(place(item), f"attribute {name!r} is missing, or not a text of fixed width")
    return str(value)


def set_text(item: h5py.HLObject, name: str, value: str) -> None:
    """Write an attribute that `text` reads."""
    raw = value.encode()
    item.attrs.create(name, raw, dtype=h5py.string_dtype("utf-8", max(1, len(raw))))


def numeric(dataset: h5py.Dataset) -> np.dtype:
    """The dtype of the numbers in a dataset; MepipeError where it holds objects, references, texts or records."""
    try:
        kind, size = dataset.dtype.kind, dataset.dtype.itemsize
    except TypeError:
        kind, size = "?", 0
    if kind not in "fiub" or size > 8:
        raise refuse(place(dataset), "does not hold numbers (integers, floats or logicals of up to 8 bytes)")
    return np.dtype(dataset.dtype.str)


def check(dataset: h5py.Group | h5py.Dataset, declared: int | None = None) -> h5py.Dataset:
    """The dataset, if all of it lies in this file and is no larger than the file could hold.

    declared: bytes that will be read of it, where that is not all.
    """
    where = place(dataset)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise refuse(where, "should be an array")
    if dataset.is_virtual or dataset.external:
        raise refuse(where, "keeps its values in other files")
    pipeline = dataset.id.get_create_plist()
    filters = [pipeline.get_filter(i)[0] for i in range(pipeline.get_nfilters())]
    if not set(filters) <= set(_FILTERS) or len(set(filters)) < len(filters):
        raise refuse(where, f"is compressed in a way that is not read (filters {filters}; {_FILTERS} are, each once)")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize if declared is None else declared
    stored = min(dataset.id.get_storage_size(), Path(dataset.file.filename).stat().st_size)
    if size > stored * RATIO:
        raise refuse(where, f"declares {size} bytes and stores {stored}, which cannot be more than {stored * RATIO}")
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if size and chunk > min(SAMPLE_LIMIT, stored * RATIO):
        raise refuse(where, f"has chunks of {chunk} bytes and stores {stored}")
    return dataset


def read(dataset: h5py.Dataset, selection: tuple[slice, ...]) -> np.ndarray:
    """A part of a checked dataset, in the machine's byte order. selection: start and stop for every axis.

    MepipeError where it is too large, damaged, or was never written (HDF5 would give zeros).
    """
    size = math.prod(s.stop - s.start for s in selection) * dataset.dtype.itemsize
    if size > SAMPLE_LIMIT:
        raise refuse(place(dataset), f"declares {size} bytes for one sample; {SAMPLE_LIMIT} is the limit")
    try:
        if dataset.chunks and size:
            _check_chunks(dataset, selection)
        values = np.asarray(dataset[selection])
    except MepipeError:
        raise
    except Exception as error:  # as in guard
        raise refuse(place(dataset), f"cannot be read at {selection[0].start} ({error})") from error
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _check_chunks(dataset: h5py.Dataset, selection: tuple[slice, ...]) -> None:
    """Every chunk of a selection is there, and holds what its shape says, not more."""
    sides: tuple[int, ...] = dataset.chunks
    full = math.prod(sides) * dataset.dtype.itemsize
    ranges = [range(s.start // side * side, s.stop, side) for s, side in zip(selection, sides, strict=True)]
    if math.prod(map(len, ranges)) > CHUNKS:
        raise refuse(place(dataset), f"is cut into chunks of {sides}: more than {CHUNKS} for one sample")
    pipeline = dataset.id.get_create_plist()
    filters = [pipeline.get_filter(i)[0] for i in range(pipeline.get_nfilters())]
    for offset in itertools.product(*ranges):
        info = dataset.id.get_chunk_info_by_coord(offset)
        if info.byte_offset is None:
            raise refuse(place(dataset), f"was never written at {offset}")
        packed = info.size > full * 1.1 + 4096  # compressing never adds as much
        if _LZF in filters:
            packed |= info.size * 90 > SAMPLE_LIMIT  # LZF reaches 88
        if _DEFLATE in filters and not info.filter_mask >> filters.index(_DEFLATE) & 1 and not packed:
            raw = dataset.id.read_direct_chunk(offset)[1]
            packed = len(zlib.decompressobj().decompress(raw, full + 64)) > full + 8  # 8: a checksum may be inside
        if packed:
            raise refuse(place(dataset), f"holds more in a chunk than its shape {sides} says, at {offset}")


def column(group: h5py.Group, name: str, kind: str, length: int | None = None) -> np.ndarray:
    """A column of a table: texts of fixed width ("S", given as str), integers ("i") or floats ("f")."""
    dataset = check(member(group, name))
    found = "i" if dataset.dtype.kind in "iub" else dataset.dtype.kind
    if found != kind or len(dataset.shape) != 1 or (length is not None and len(dataset) != length):
        raise refuse(place(dataset), f"should be {length if length is not None else 'some'} values of kind {kind!r}")
    if dataset.nbytes > COLUMN_LIMIT or len(dataset) > ROW_LIMIT:
        raise refuse(place(dataset), f"is a column of {dataset.nbytes} bytes; {COLUMN_LIMIT} is the limit")
    values = read(dataset, (slice(0, len(dataset)),))
    try:
        return np.array([v.decode() for v in values.tolist()], object) if kind == "S" else values
    except UnicodeDecodeError:
        raise refuse(place(dataset), "is not UTF-8 text") from None
