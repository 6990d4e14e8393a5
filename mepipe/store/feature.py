"""One feature of a store: reading it, and writing one sample of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from mepipe.errors import MepipeError
from mepipe.store import files
from mepipe.store.ledger import Ledger, Record

if TYPE_CHECKING:
    import pandas as pd
    import torch
    import xarray as xr


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

    def __init__(self, root: Path, path: str) -> None:
        self.root = root
        self.path = path
        self.folder = root / path
        self.ledger = Ledger(self.folder / "ledger")

    @cached_property
    def _group(self) -> Any:  # zarr's own annotations cover every array it could be
        return zarr.open_group(self.folder, mode="r+" if os.access(self.folder, os.W_OK) else "r")

    @cached_property
    def _data(self) -> Any:
        return self._group["data"]

    @cached_property
    def ids(self) -> list[str]:
        """Sample ids, in the order of the first axis."""
        return [str(i) for i in self._group["sample"][:]]

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """key, node, stage, params, lineage, units and whether it shows a face."""
        return dict(self._group.attrs)

    @property
    def key(self) -> str:
        """The identity of what made it."""
        return str(self.attributes["key"])

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples first; where clips differ in length, of the longest."""
        return tuple(self._data.shape)

    @property
    def dtype(self) -> np.dtype:
        """As stored."""
        return np.dtype(self._data.dtype)

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes, `sample` first."""
        return tuple(self._data.metadata.dimension_names)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The samples as the manifest has them, one row each, in order; indexed by id."""
        return read_table(self.root / self.path.split("/")[0])

    def position(self, sample: int | str) -> np.ndarray:
        """The frame number that each frame of this sample's array stands for, float64; empty without such an axis."""
        index = self._index(sample)
        if "position" not in self._group:
            return np.empty(0)
        return np.asarray(self._group["position"][index][: self._length(index)])

    @cached_property
    def _lengths(self) -> np.ndarray | None:
        return np.asarray(self._group["length"][:]) if "length" in self._group else None

    def _length(self, index: int) -> int | None:
        return None if self._lengths is None else int(self._lengths[index])

    def _index(self, sample: int | str) -> int:
        if isinstance(sample, str):
            if sample not in self.ids:
                msg = f"{self.path}: no sample {sample!r}. Its ids: {', '.join(self.ids[:3])}, ..."
                raise MepipeError(msg)
            return self.ids.index(sample)
        return range(len(self.ids))[sample]

    @cached_property
    def records(self) -> dict[str, Record]:
        """What the ledger said when first asked."""
        return self.ledger.records()

    @property
    def failed(self) -> dict[str, str]:
        """Samples that could not be computed, and why."""
        return {r.sample: r.reason for r in self.records.values() if r.state == "failed"}

    @property
    def missing(self) -> list[str]:
        """Samples that nothing is known of, or that are damaged: extract computes them."""
        return [i for i in self.ids if i not in self.records or self.records[i].state == "damaged"]

    @property
    def done(self) -> list[str]:
        """Samples that can be read."""
        return [i for i in self.ids if i in self.records and self.records[i].state == "done"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, sample: int | str) -> np.ndarray:
        """The array of one sample, by position or id, without padding; MepipeError where it is not there."""
        index = self._index(sample)
        name = self.ids[index]
        record = self.records.get(name)
        if record is None or record.state != "done":
            why = f"{record.state}: {record.reason}" if record else "not computed"
            msg = f"{self.path}: sample {name} is not there ({why}). Run mepipe extract again."
            raise MepipeError(msg)
        return self.read(index)

    def read(self, index: int) -> np.ndarray:
        """The array at an index as it lies on the disk, whatever the ledger says; MepipeError where it is damaged."""
        gone = [p.name for p in self.chunks(index) if not p.exists()]  # zarr would give fill values
        if gone:
            msg = f"{self.path}: sample {self.ids[index]} is damaged (gone). Run mepipe store verify, then extract."
            raise MepipeError(msg)
        length = self._length(index)
        try:
            values = self._data[index] if length is None else self._data[index, :length]
        except ValueError as error:
            msg = f"{self.path}: sample {self.ids[index]} is damaged ({error}). Run mepipe store verify, then extract."
            raise MepipeError(msg) from error
        return np.asarray(values)

    def numpy(self, ids: Sequence[str] | None = None) -> np.ndarray:
        """These samples (default: all that are done), stacked; clips of different lengths cannot be."""
        return np.stack([self[i] for i in (self.done if ids is None else ids)])

    def torch(self, ids: Sequence[str] | None = None) -> torch.utils.data.Dataset:
        """A map-style dataset of these samples (default: all that are done), each read when asked for."""
        from mepipe.store.datasets import FeatureDataset

        return FeatureDataset(self, self.done if ids is None else ids)

    def xarray(self) -> xr.Dataset:
        """The whole feature, lazily, with dimensions and coordinates named."""
        import xarray as xr

        return xr.open_zarr(self.root, group=self.path, consolidated=False)

    # Writing ------------------------------------------------------------------------------------------------------

    def write(self, sample: str, values: np.ndarray) -> str:
        """Put one sample's array on the disk, to stay; returns its digest. The ledger is the caller's next step."""
        index = self._index(sample)
        length = self._length(index)
        expected = self.shape[1:] if length is None else (length, *self.shape[2:])
        if values.shape != expected:
            msg = f"{self.path}: sample {sample} has shape {values.shape}, and {expected} was declared."
            raise MepipeError(msg)
        try:
            if length is None:
                self._data[index] = values
            elif length:
                whole = self._whole_chunks(values)  # else zarr reads the last chunk first, which may be damaged
                self._data[index, : len(whole)] = whole
            self._flush(index)
        except OSError as error:
            msg = f"{self.path}: sample {sample} cannot be written ({error.strerror}). Check free space and permission."
            raise MepipeError(msg) from error
        return digest(values)

    def _whole_chunks(self, values: np.ndarray) -> np.ndarray:
        """The array of a sample, filled up along `frame` to the end of its last chunk."""
        end = min(-(-len(values) // self._data.chunks[1]) * self._data.chunks[1], self.shape[1])
        whole = np.full((end, *values.shape[1:]), self._data.fill_value, values.dtype)
        whole[: len(values)] = values
        return whole

    def chunks(self, index: int) -> list[Path]:
        """The chunk files that one sample's array lies in, whether they are there or not."""
        length = self._length(index)
        frames = 1 if length is None else -(-length // self._data.chunks[1])
        rest = [0] * (len(self.dims) - 2)
        keys = [(index, k, *rest) for k in range(frames)] if len(self.dims) > 1 else [(index,)]
        return [self.folder / "data" / self._data.metadata.encode_chunk_key(key) for key in keys]

    def _flush(self, index: int) -> None:
        """Force a sample's chunks, and the folder that names them, to the disk."""
        for path in self.chunks(index):
            path.chmod(files.SHARED_FILE)
            files.flush(path)
        files.flush(self.folder / "data")

    def adopt(self, other: Feature, sample: str) -> None:
        """Take over a sample's chunks from a feature of the same key in another snapshot: linked, else copied."""
        source, target = other._index(sample), self._index(sample)
        for path, place in zip(other.chunks(source), self.chunks(target), strict=True):
            private = files.private_name(place)
            try:
                os.link(path, private)
            except OSError:
                shutil.copyfile(path, private)
            private.replace(place)
        self._flush(target)


def read_table(snapshot: Path) -> pd.DataFrame:
    """A snapshot's samples, one row each, as the manifest has them; indexed by id."""
    import pandas as pd

    group = zarr.open_group(snapshot, mode="r")
    table = pd.DataFrame({name: array[:] for name, array in group.arrays()})
    return table.set_index("id", drop=False).rename_axis(None)
