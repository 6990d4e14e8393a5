"""The frozen part of a feature, read and checked: what its arrays say about each sample."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mepipe.datasets.manifest import ID
from mepipe.store import metadata, plain
from mepipe.store.metadata import Array, refuse
from mepipe.store.place import Place

if TYPE_CHECKING:
    import pandas as pd

_NAMES = re.compile(rf"(?m:(?:{ID.pattern.replace(chr(92) + 'Z', '$')}\n)*+)")
_DIMENSION = re.compile(r"[a-z][a-z0-9_]*")


class Skeleton:
    """What is asked is read, once; MepipeError for what mepipe does not write, or what does not fit together."""

    def __init__(self, place: Place, path: str) -> None:
        self.place = place
        self.path = path

    @cached_property
    def data(self) -> Array:
        """The document of the array that holds the values."""
        path = f"{self.path}/data"
        try:
            found = metadata.array(self.place, path)
        except FileNotFoundError:
            raise refuse(path, "is gone") from None
        sharded = found.codecs[0] == "sharding_indexed"
        named = all(map(_DIMENSION.fullmatch, found.dims)) and len(set(found.dims)) == len(found.dims)
        if found.dims[0] != "sample" or not named or found.dtype == object:
            raise refuse(path, f"has dimensions {found.dims} of {found.dtype}: numbers, by sample, are expected")
        if not sharded and (found.chunks[:1] != (1,) or found.chunks[2:] != found.shape[2:]):
            raise refuse(
                path, f"has chunks {found.chunks} in shape {found.shape}: one sample each, or some of its frames"
            )
        return found

    @cached_property
    def ids(self) -> list[str]:
        """Sample ids, in the order of the first axis."""
        found = self._coordinate("sample", self.data.shape[:1])
        if found is None:
            raise refuse(f"{self.path}/sample", "is gone")
        return _ids(found, f"{self.path}/sample")

    @cached_property
    def lengths(self) -> np.ndarray | None:
        """The frames of each sample; None where arrays have no frames."""
        found = self._coordinate("length", self.data.shape[:1])
        if found is None:
            return None
        if found.dtype.kind != "i" or self.data.dims[1:2] != ("frame",):
            raise refuse(
                f"{self.path}/length", f"is {found.dtype}, along {self.data.dims}: whole numbers of frames are expected"
            )
        if len(found) and not 0 <= found.min() <= found.max() <= self.data.shape[1]:
            raise refuse(f"{self.path}/length", f"has {found.min()} to {found.max()} frames of {self.data.shape[1]}")
        return found

    @cached_property
    def positions(self) -> np.ndarray | None:
        """The frame number of each frame, padded; None where arrays have no frames."""
        found = self._coordinate("position", self.data.shape[:2])
        if found is not None and found.dtype.kind != "f":
            raise refuse(f"{self.path}/position", f"is {found.dtype}: frame numbers are expected")
        return found

    def _coordinate(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        try:
            found = plain.coordinate(self.place, f"{self.path}/{name}")
        except FileNotFoundError:
            return None
        if found.shape != shape:
            raise refuse(f"{self.path}/{name}", f"has shape {found.shape}, and {shape} is that of the data")
        return found

    def keys(self, index: int) -> list[str]:
        """The names, in the folder of the data, of the chunk files that one sample's array lies in."""
        frames = 1 if self.lengths is None else -(-int(self.lengths[index]) // self.data.chunks[1])
        rest = (0,) * (len(self.data.shape) - 2)
        first = index // self.data.chunks[0]  # the sample itself, but where many share a file
        numbers = [(first, k, *rest) for k in range(frames)] if len(self.data.shape) > 1 else [(first,)]
        return [self.data.chunk_key(each) for each in numbers]


def _ids(found: np.ndarray, where: str) -> list[str]:
    if found.dtype != object:
        raise refuse(where, f"holds {found.dtype}: names are expected")
    ids: list[str] = found.tolist()
    text = "\n".join([*ids, ""])  # a million names are looked at in one go
    bad = None
    if not _NAMES.fullmatch(text) or text.count("\n") > len(ids):
        bad = next(one for one in ids if not ID.fullmatch(one))
    if bad is not None:
        raise refuse(where, f"{str(bad)[:60]!r} cannot be a sample")
    if len(set(ids)) < len(ids):
        raise refuse(where, "names a sample twice")
    return ids


def read_table(place: Place, snapshot: str) -> pd.DataFrame:
    """A snapshot's samples, one row each, as the manifest has them; indexed by id. Errors as `Skeleton`."""
    import pandas as pd

    columns: dict[str, np.ndarray] = {}
    for name in metadata.arrays(place, snapshot):
        columns[name] = plain.coordinate(place, f"{snapshot}/{name}")
    if "id" not in columns or len({c.shape for c in columns.values()}) > 1 or columns["id"].ndim != 1:
        shapes = {name: column.shape for name, column in columns.items()}
        raise refuse(snapshot, f"is no table of samples by id (columns {shapes})")
    _ids(columns["id"], f"{snapshot}/id")
    return pd.DataFrame(columns).set_index("id", drop=False).rename_axis(None)
