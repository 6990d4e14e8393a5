"""One feature of a store: reading it, and writing one sample of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mepipe.errors import MepipeError
from mepipe.store import metadata, plain, seal
from mepipe.store.ledger import Ledger, Record, States
from mepipe.store.place import Place
from mepipe.store.skeleton import Skeleton, read_table

if TYPE_CHECKING:
    import pandas as pd
    import torch
    import xarray as xr

    from mepipe.store.datasets import FeatureDataset


def digest(values: np.ndarray) -> str:
    """The digest of an array: of its dtype, shape and decoded values, whatever the layout on disk."""
    hasher = hashlib.blake2b(digest_size=16)
    hasher.update(f"{values.dtype.newbyteorder('<').str}{values.shape}".encode())
    hasher.update(np.ascontiguousarray(values).data)
    return hasher.hexdigest()


class Feature:
    """The output of one recipe node over one snapshot of a dataset; first axis = sample.

    Reading gives only samples that the ledger knows as done; others raise, or are left out by name.
    """

    def __init__(self, place: Place, path: str) -> None:
        self.place = place
        self.path = path
        self.ledger = Ledger(place, f"{path}/ledger")

    @cached_property
    def _skeleton(self) -> Skeleton:
        for file, problem in seal.broken(self.place, self.path, deep=False).items():
            msg = f"{self.path}: {file} {problem}. Run mepipe store verify, then mepipe extract."
            raise MepipeError(msg)
        return Skeleton(self.place, self.path)

    @cached_property
    def _plain(self) -> plain.Chunks | None:
        return plain.chunks(self.place, f"{self.path}/data", self._skeleton.data)

    @cached_property
    def _group(self) -> Any:  # zarr's own annotations cover every array it could be
        metadata.arrays(self.place, self.path)  # refused before Zarr acts on it
        return self.place.group(self.path)

    @cached_property
    def _data(self) -> Any:
        return self._group["data"]

    @cached_property
    def ids(self) -> list[str]:
        """Sample ids, in the order of the first axis."""
        return self._skeleton.ids

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """key, node, stage, params, lineage, units and whether it shows a face."""
        return metadata.attributes(self.place, self.path)

    @property
    def key(self) -> str:
        """The identity of what made it."""
        return str(self.attributes["key"])

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples first; where clips differ in length, of the longest."""
        return self._skeleton.data.shape

    @property
    def dtype(self) -> np.dtype:
        """As stored."""
        return self._skeleton.data.dtype

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes, `sample` first."""
        return self._skeleton.data.dims

    @property
    def packed(self) -> bool:
        """Whether many samples share a file (`store compact`), so that none can be written any more."""
        return self._skeleton.data.codecs[0] == "sharding_indexed"

    @cached_property
    def table(self) -> pd.DataFrame:
        """The samples as the manifest has them, one row each, in order; indexed by id."""
        return read_table(self.place, self.path.split("/")[0])

    def position(self, sample: int | str) -> np.ndarray:
        """The frame number that each frame of this sample's array stands for, float64; empty without such an axis."""
        index = self._index(sample)
        positions = self._skeleton.positions
        return np.empty(0) if positions is None else positions[index, : self._length(index)].copy()

    @property
    def _lengths(self) -> np.ndarray | None:
        return self._skeleton.lengths

    def _length(self, index: int) -> int | None:
        return None if self._lengths is None else int(self._lengths[index])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {sample: index for index, sample in enumerate(self.ids)}

    def _index(self, sample: int | str) -> int:
        if isinstance(sample, str):
            if sample not in self._places:
                msg = f"{self.path}: no sample {sample!r}. Its ids: {', '.join(self.ids[:3])}, ..."
                raise MepipeError(msg)
            return self._places[sample]
        return range(len(self.ids))[sample]

    @cached_property
    def records(self) -> dict[str, Record]:
        """What the ledger said when first asked."""
        return self.ledger.records()

    @cached_property
    def states(self) -> States:
        """What the ledger said in brief when first asked: of a million samples quickly, unlike `records`."""
        return self.ledger.states()

    @property
    def failed(self) -> dict[str, str]:
        """Samples that could not be computed, and why."""
        return {s: reason for s, reason in self.states.reasons.items() if self.states.of(s) == "failed"}

    @property
    def missing(self) -> list[str]:
        """Samples that nothing is known of, or that are damaged: extract computes them."""
        return [i for i in self.ids if self.states.of(i) in (None, "damaged")]

    @property
    def done(self) -> list[str]:
        """Samples that can be read."""
        return [i for i in self.ids if self.states.of(i) == "done"]

    def __len__(self) -> int:
        return len(self.ids)

    def sample_shape(self, sample: int | str) -> tuple[int, ...]:
        """The shape of one sample's array, without padding."""
        length = self._length(self._index(sample))
        return self.shape[1:] if length is None else (length, *self.shape[2:])

    def __getitem__(self, sample: int | str) -> np.ndarray:
        """The array of one sample, by position or id, without padding; MepipeError where it is not there.

        It is the caller's own: changing it changes neither the store nor what is read next. In a folder, a sample of
        one chunk is a map of its file, copied only where it is changed. A chunk's checksum is tested when this object
        first reads it; `read` always does.
        """
        index = self._index(sample)
        name = self.ids[index]
        state = self.states.of(name)
        if state != "done":
            why = f"{state}: {self.states.reasons[name]}" if state else "not computed"
            msg = f"{self.path}: sample {name} is not there ({why}). Run mepipe extract again."
            raise MepipeError(msg)
        return self._read(index, test=False)

    def read(self, index: int) -> np.ndarray:
        """The array at an index as it lies on the disk, whatever the ledger says; MepipeError where it is damaged."""
        return self._read(index, test=True)

    def _read(self, index: int, test: bool) -> np.ndarray:
        try:
            if self._plain is not None:
                return self._plain.read(self._skeleton.keys(index), self.sample_shape(index), test=test)
            return self._read_with_zarr(index)
        except (FileNotFoundError, ValueError) as error:
            problem = str(error) if isinstance(error, ValueError) else "gone"
            msg = (
                f"{self.path}: sample {self.ids[index]} is damaged ({problem}). Run mepipe store verify, then extract."
            )
            raise MepipeError(msg) from error
        except OSError as error:
            msg = f"{self.path}: sample {self.ids[index]} cannot be read ({error.strerror}). Check disk and permission."
            raise MepipeError(msg) from error

    def _read_with_zarr(self, index: int) -> np.ndarray:
        for path in self.chunks(index):
            self.place.read(path, 0, 1)  # of what is no file, zarr would give fill values
        length = self._length(index)
        return np.asarray(self._data[index] if length is None else self._data[index, :length])

    def numpy(self, ids: Sequence[str] | None = None) -> np.ndarray:
        """These samples (default: all that are done), stacked: [sample, ...]. Clips of different lengths cannot be."""
        chosen = self.done if ids is None else ids
        shapes = {self.sample_shape(i) for i in chosen} or {self.shape[1:]}
        if len(shapes) > 1:
            msg = f"{self.path}: arrays of {len(shapes)} shapes cannot be stacked. Read them one by one: feature[id]."
            raise MepipeError(msg)
        stacked = np.empty((len(chosen), *shapes.pop()), self.dtype)
        for row, sample in zip(stacked, chosen, strict=True):
            row[...] = self[sample]
        return stacked

    def torch(
        self,
        ids: Sequence[str] | None = None,
        cache: Literal["ram"] | None = None,
        dtype: torch.dtype | None = None,
    ) -> FeatureDataset:
        """These samples (default: all that are done) as a map-style dataset of tensors: see `FeatureDataset`."""
        from mepipe.store.datasets import FeatureDataset

        return FeatureDataset(self, self.done if ids is None else ids, cache, dtype)

    def xarray(self) -> xr.Dataset:
        """The whole feature, lazily, with dimensions and coordinates named."""
        import xarray as xr

        from mepipe.store.zarr_store import PlaceStore

        metadata.arrays(self.place, self.path)  # refused before Zarr acts on it
        return xr.open_zarr(PlaceStore(self.place), group=self.path, consolidated=False)

    # Writing ------------------------------------------------------------------------------------------------------

    def write(self, sample: str, values: np.ndarray) -> str:
        """Put one sample's array on the disk, to stay; returns its digest. The ledger is the caller's next step."""
        if not self._skeleton.data.plain:
            msg = (
                f"{self.path}: is packed, and {sample} cannot be written. Run: mepipe store compact --undo {self.path}"
            )
            raise MepipeError(msg)
        index = self._index(sample)
        expected = self.sample_shape(index)
        if values.shape != expected:
            msg = f"{self.path}: sample {sample} has shape {values.shape}, and {expected} was declared."
            raise MepipeError(msg)
        for path, content in zip(self.chunks(index), plain.encoded(values, self._skeleton.data), strict=True):
            self.place.write(path, content)
        return digest(values)

    def holds(self, sample: str) -> bool:
        """Whether a sample's chunks are there, whatever they hold."""
        return sample in self._places and all(map(self.place.exists, self.chunks(self._places[sample])))

    def chunks(self, index: int) -> list[str]:
        """The chunk files, by path in the store, that one sample's array lies in, whether they are there or not."""
        return [f"{self.path}/data/{key}" for key in self._skeleton.keys(index)]

    def adopt(self, other: Feature, sample: str) -> None:
        """Take over a sample's chunks from a feature of the same key, in another snapshot or in another store."""
        if other.packed or self.packed:
            self.write(sample, other.read(other._index(sample)))
            return
        chunks = self.chunks(self._index(sample))
        for path, place in zip(other.chunks(other._index(sample)), chunks, strict=True):
            if other.place is self.place:
                self.place.copy(path, place)
            else:
                self.place.write(place, other.place.read(path))
