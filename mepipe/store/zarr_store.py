"""A place as Zarr sees it, so that arrays at a URL are read by the same few operations as all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

if TYPE_CHECKING:
    from mepipe.store.place import Place


class PlaceStore(Store):
    """A folder of a place. Each call waits in a thread of its own, so that several chunks are under way at once."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, place: Place, path: str = "") -> None:
        super().__init__(read_only=True)
        self.place = place
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlaceStore) and (self.place.url, self.path) == (other.place.url, other.path)

    def __str__(self) -> str:
        return f"{self.place.url}/{self.path}".rstrip("/")

    def _at(self, key: str) -> str:
        return "/".join(part for part in (self.path, key.strip("/")) if part)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        try:
            content = await asyncio.to_thread(self.place.read, self._at(key), *_slice(byte_range))
        except FileNotFoundError:
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self.place.exists, self._at(key))

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()  # which raises: mepipe writes whole files, through the place

    async def delete(self, key: str) -> None:
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        for name in await asyncio.to_thread(self.place.files, self.path):
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        async for name in self.list():
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        for name in await asyncio.to_thread(self.place.children, self._at(prefix)):
            yield name


def _slice(part: Any) -> tuple[int | None, int | None]:
    if isinstance(part, RangeByteRequest):
        return part.start, part.end
    if isinstance(part, OffsetByteRequest):
        return part.offset, None
    if isinstance(part, SuffixByteRequest):
        return -part.suffix, None
    return None, None
