"""Reading files as mepipe writes them, without Zarr: numbers as they lie in memory (or texts), then their CRC32C.

Chunks are mapped, not read, so what a trainer converts to float32 comes straight from the page cache: as fast as
np.memmap of one big file, where Zarr takes several times as long (`python -m benchmarks --only reading`).
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import weakref
from collections.abc import Iterator, Sequence

import google_crc32c
import numpy as np
from numcodecs import VLenUTF8  # type: ignore[import-untyped]

from mepipe.store import metadata
from mepipe.store.metadata import CHECKSUM, Array, refuse
from mepipe.store.place import Folder, Place

MAPS = 128  # files that are mapped at once: each map keeps a descriptor, of which a process often has but 1024
TEXT_LIMIT = 1 << 30  # bytes of a column of texts

_maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


class Chunks:
    """The plain chunk files of one array in a folder.

    A checksum is tested when a file is first read, and again when it is another file or was written since: looking at
    that takes a microsecond, the test of 5 MB a millisecond.
    """

    def __init__(self, place: Folder, path: str, array: Array) -> None:
        self.folder = str(place.inside(path))
        self.place = place
        self.path = path
        self.array = array
        self.size = array.chunk_size
        self.tested: dict[str, tuple[int, int]] = {}

    def read(self, keys: Sequence[str], shape: tuple[int, ...], *, test: bool = False) -> np.ndarray:
        """One sample [frame, ...], from its chunks in order: one chunk mapped copy-on-write, several put together.

        test: the checksum also where it was before. ValueError where a file is not what was written, OSError where it
        cannot be read, MepipeError where it is a link that leads out of the store.
        """
        if len(keys) == 1:
            whole = self._chunk(keys[0], test)
            return whole[: shape[0]] if shape else whole
        values = np.empty(shape, self.array.dtype)
        for key, start in zip(keys, range(0, shape[0], self.array.chunks[1]), strict=True):
            part = values[start : start + self.array.chunks[1]]
            part[...] = self._chunk(key, test)[: len(part)]
        return values

    def _chunk(self, key: str, test: bool) -> np.ndarray:
        descriptor = self._open(key)
        try:
            facts = os.fstat(descriptor)
            if facts.st_size != self.size:  # before mapping: reading beyond a file's end kills the process
                msg = f"{key} is {facts.st_size} bytes long, and {self.size} were written"
                raise ValueError(msg)
            content = _content(descriptor, self.size)
        finally:
            os.close(descriptor)
        state = (facts.st_ino, facts.st_mtime_ns)
        if test or self.tested.get(key) != state:
            _test(content, key)
            self.tested[key] = state
        values: np.ndarray = content[:-CHECKSUM].view(self.array.dtype).reshape(self.array.chunks[1:])
        return values

    def _open(self, key: str) -> int:
        # A pipe would keep a reader waiting for ever; a link may lead out.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            return os.open(f"{self.folder}/{key}", flags | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        return os.open(self.place.inside(f"{self.path}/{key}"), flags)


def chunks(place: Place, path: str, array: Array) -> Chunks | None:
    """What reads an array's chunks as they lie in files; None where only Zarr can: elsewhere, or otherwise laid out."""
    if not isinstance(place, Folder) or not array.plain or sys.byteorder != "little":
        return None
    one = array.chunks[:1] == (1,) and array.chunks[2:] == array.shape[2:]
    return Chunks(place, path, array) if one else None


def encoded(values: np.ndarray, array: Array) -> Iterator[bytes]:
    """The chunk files of one sample [frame, ...], in order: what `Chunks.read` reads, and Zarr too."""
    shape = array.chunks[1:]
    for start in range(0, len(values), shape[0]) if shape else (0,):
        part = values[start : start + shape[0]] if shape else values
        if part.shape != shape:  # the last frames, in a chunk as long as the others
            part = np.concatenate([part, np.full((shape[0] - len(part), *shape[1:]), _fill(array.dtype))])
        content = part.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        yield content + google_crc32c.value(content).to_bytes(CHECKSUM, "little")


def _fill(dtype: np.dtype) -> np.generic:
    return dtype.type("nan") if dtype.kind == "f" else dtype.type(0)


def _content(descriptor: int, size: int) -> np.ndarray:
    """A file's bytes, uint8. Mapped so that who changes them changes neither the file nor what others see."""
    if len(_maps) < MAPS:
        try:
            mapped = mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
        except OSError:  # not every file system can
            pass
        else:
            _maps.add(mapped)
            return np.frombuffer(mapped, np.uint8)
    with open(descriptor, "rb", closefd=False) as file:
        return np.fromfile(file, np.uint8, size)


def _test(content: np.ndarray, name: str) -> None:
    found, stored = google_crc32c.value(content[:-CHECKSUM]), int.from_bytes(content[-CHECKSUM:].tobytes(), "little")
    if found != stored:
        msg = f"{name} has checksum {found:08x}, and {stored:08x} was written"
        raise ValueError(msg)


def coordinate(place: Place, path: str) -> np.ndarray:
    """A whole coordinate: ids, lengths, a column of the sample table. Texts as objects.

    FileNotFoundError where there is no such array; MepipeError where it is not all there, or not as mepipe writes it.
    """
    array = metadata.array(place, path)
    if array.codecs[1:] != ("crc32c",) or array.chunks != tuple(max(1, n) for n in array.shape):
        raise refuse(path, f"is not one chunk with a checksum (chunks {array.chunks}, codecs {array.codecs})")
    if 0 in array.shape:
        return np.empty(array.shape, array.dtype)
    text = array.dtype == object
    limit = TEXT_LIMIT if text else array.chunk_size
    try:
        content = np.frombuffer(
            place.read(f"{path}/{array.chunk_key((0,) * len(array.shape))}", 0, limit + 1), np.uint8
        )
    except FileNotFoundError:
        raise refuse(path, "its values are gone") from None
    if len(content) > limit or (not text and len(content) < limit) or len(content) < 2 * CHECKSUM:
        raise refuse(path, f"its values are {len(content)} bytes or more, and {array.shape} were declared")
    try:
        _test(content, path)
        return _texts(content, array.shape) if text else _numbers(content, array)
    except ValueError as error:
        raise refuse(path, f"its values are damaged ({error})") from None


def _numbers(content: np.ndarray, array: Array) -> np.ndarray:
    values: np.ndarray = content[:-CHECKSUM].view(array.dtype.newbyteorder("<")).reshape(array.shape)
    return values.astype(array.dtype)


def _texts(content: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    count = int.from_bytes(content[:4].tobytes(), "little")  # as many as the decoder makes room for
    if (count,) != shape:
        msg = f"{count} texts, and {shape} were declared"
        raise ValueError(msg)
    values: np.ndarray = VLenUTF8().decode(content[:-CHECKSUM])
    return values
