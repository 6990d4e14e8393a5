"""What a `zarr.json` in a store may say, checked before anything acts on it: a store may come from anybody.

Zarr would follow a document wherever it leads: to codecs that unpickle, to chunks that inflate without end, to arrays
larger than the memory. Here are only the data types and codecs that mepipe writes, none of which makes more bytes of
a file than it has, and no sample is larger than SAMPLE_LIMIT.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mepipe.errors import MepipeError
from mepipe.store.place import Place

DOCUMENT_LIMIT = 16 << 20  # bytes of a zarr.json
SAMPLE_LIMIT = 4 << 30  # bytes of one sample's array, as in files that are imported
CHECKSUM = 4  # bytes, at the end of every chunk
_ADVICE = "Run mepipe store verify; where the store came from outside, do not use it."

_Kind = TypeVar("_Kind", bound=BaseModel)
_Size = Annotated[int, Field(ge=0, lt=1 << 53)]
_DataType = Literal[
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "string",
]  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Grid(_Model):
    chunk_shape: list[Annotated[int, Field(gt=0, lt=1 << 53)]]


class _RegularGrid(_Model):
    name: Literal["regular"]
    configuration: _Grid


class _Separator(_Model):
    separator: Literal[".", "/"] = "/"


class _KeyEncoding(_Model):
    name: Literal["default"]
    configuration: _Separator = _Separator()


class _Endian(_Model):
    endian: Literal["little"] | None = None


class _Bytes(_Model):
    name: Literal["bytes"]
    configuration: _Endian = _Endian()


class _Nothing(_Model):
    pass


class _Plain(_Model):
    name: Literal["crc32c", "vlen-utf8"]
    configuration: _Nothing = _Nothing()


class _Sharding(_Model):
    chunk_shape: list[Annotated[int, Field(gt=0, lt=1 << 53)]]
    codecs: list[_Bytes | _Plain]
    index_codecs: list[_Bytes | _Plain]
    index_location: Literal["start", "end"] = "end"


class _Shards(_Model):
    name: Literal["sharding_indexed"]
    configuration: _Sharding


class _Array(_Model):
    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: list[_Size]
    data_type: _DataType
    chunk_grid: _RegularGrid
    chunk_key_encoding: _KeyEncoding
    fill_value: Any
    codecs: Annotated[list[Annotated[_Bytes | _Plain | _Shards, Field(discriminator="name")]], Field(min_length=1)]
    attributes: dict[str, Any] = {}
    dimension_names: list[str] | None = None
    storage_transformers: Annotated[list[Any], Field(max_length=0)] = []


class _Group(BaseModel):
    model_config = ConfigDict(strict=True)
    zarr_format: Literal[3]
    node_type: Literal["group"]
    attributes: dict[str, Any] = {}


class _Lineage(BaseModel):
    model_config = ConfigDict(strict=True)
    stage: str
    version: int | str
    params: dict[str, Any]
    libraries: dict[str, Any]
    upstream: _Lineage | str


class _Feature(BaseModel):
    """The attributes that mepipe reads; which of them there are beyond the first is the writer's affair."""

    model_config = ConfigDict(strict=True)
    key: str
    node: str = ""
    units: str = ""
    stage: str = ""
    version: int | str = 0
    params: dict[str, Any] = {}
    lineage: _Lineage | str = ""
    reads: list[str] = []
    shows_face: bool = True


@dataclass(frozen=True)
class Array:
    """An array's document. dtype: of text `object`. codecs: their names. separator: between numbers of a chunk key."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    separator: str
    codecs: tuple[str, ...]
    dims: tuple[str, ...]

    @property
    def chunk_size(self) -> int:
        """The bytes of a chunk file whose codecs are `bytes` and `crc32c`: numbers as they are, and a checksum."""
        return math.prod(self.chunks) * self.dtype.itemsize + CHECKSUM

    @property
    def plain(self) -> bool:
        """Whether that is what its chunk files hold."""
        return self.codecs == ("bytes", "crc32c") and self.dtype != object

    def chunk_key(self, numbers: tuple[int, ...]) -> str:
        """The name of a chunk's file, from the array's folder."""
        return self.separator.join(["c", *map(str, numbers)])


def refuse(where: str, problem: str) -> MepipeError:
    """The error for something in a store that is not acted on."""
    return MepipeError(f"{where}: {problem}. {_ADVICE}")


def _content(place: Place, path: str) -> Any:
    content = place.read(f"{path}/zarr.json", 0, DOCUMENT_LIMIT + 1)
    if len(content) > DOCUMENT_LIMIT:
        raise refuse(f"{path}/zarr.json", f"is larger than {DOCUMENT_LIMIT} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise refuse(f"{path}/zarr.json", "is not JSON") from None


def _document(model: type[_Kind], place: Place, path: str) -> _Kind:
    try:
        return model.model_validate(_content(place, path))
    except ValidationError as error:
        raise refuse(f"{path}/zarr.json", _problem(error)) from None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "all of it"
    return f"is not one that mepipe writes ({where} is {str(first['input'])[:60]!r}: {first['msg'][:200]})"


def array(place: Place, path: str) -> Array:
    """What the document of an array says; FileNotFoundError where there is none, MepipeError for what is refused."""
    where = f"{path}/zarr.json"
    found = _document(_Array, place, path)
    grid = found.chunk_grid.configuration
    shape, chunks, dims = tuple(found.shape), tuple(grid.chunk_shape), tuple(found.dimension_names or ())
    if not len(shape) == len(chunks) == len(dims) or not dims:
        raise refuse(where, f"has shape {shape}, chunks {chunks} and dimensions {dims}")
    codecs = tuple(codec.name for codec in found.codecs)
    text = found.data_type == "string"
    if (codecs[:1] == ("vlen-utf8",)) != text:
        raise refuse(where, f"has codecs {codecs} for {found.data_type}")
    dtype = np.dtype(object if text else found.data_type)
    bytes_ = max(math.prod(chunks), math.prod(shape[1:])) * dtype.itemsize
    if bytes_ > SAMPLE_LIMIT:
        raise refuse(where, f"declares {bytes_} bytes for one sample; {SAMPLE_LIMIT} is the limit")
    return Array(shape, dtype, chunks, found.chunk_key_encoding.configuration.separator, codecs, dims)


def attributes(place: Place, path: str) -> dict[str, Any]:
    """The attributes of a feature, of the types that mepipe gives them; errors as `array`."""
    found = _document(_Group, place, path).attributes
    try:
        _Feature.model_validate(found)
    except ValidationError as error:
        raise refuse(f"{path}/zarr.json", _problem(error)) from None
    return found


def arrays(place: Place, path: str) -> dict[str, Array]:
    """The arrays of a group by name; MepipeError where one is refused."""
    found: dict[str, Array] = {}
    for name in place.children(path):
        try:
            document = _content(place, f"{path}/{name}")
        except FileNotFoundError:
            continue  # no node: the group's own document
        if not isinstance(document, dict) or document.get("node_type") != "group":
            found[name] = array(place, f"{path}/{name}")
    return found
