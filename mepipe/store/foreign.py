"""Features that were computed elsewhere, as features of a store: marked as foreign, known by a digest of all values.

Arrays are read twice: once to learn their shapes and digests, from which the key follows, then to be stored.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mepipe import __version__
from mepipe.errors import MepipeError, UsageError
from mepipe.store import Store, foreign_files
from mepipe.store.arrival import Incoming
from mepipe.store.feature import digest
from mepipe.store.foreign_arrays import About, axes, prepared, stored_order
from mepipe.store.foreign_files import CONTAINERS, PICTURES, Lookup
from mepipe.store.foreign_list import List, Row
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record

VERSION = 1  # of what is done to foreign arrays: raised when the same files would give other values


@contextmanager
def _arrays(source: Path, listed: List, about: About) -> Iterator[Callable[[Row], np.ndarray]]:
    """A function that gives the array of a row, as it is in the files."""
    if source.is_dir():
        yield lambda row: foreign_files.load(foreign_files.inside(source, row.file), row.variable or about.variable)
        return
    if source.suffix.lower() not in CONTAINERS:
        msg = f"{source}: a folder of arrays or pictures, or one {', '.join(CONTAINERS)} is expected."
        raise UsageError(msg)
    with foreign_files.container(source) as (names, lookup):
        each = {row.variable or row.id for row in listed.rows}
        if not about.variable and (each & set(names) or any(row.variable for row in listed.rows)):
            yield lambda row: lookup(row.variable or row.id).read(None, 0)
            return
        axis = about.dims.index("sample") if "sample" in about.dims else 0
        variable = lookup(about.variable or _only(names, lookup, axis, listed, source))
        if len(variable.shape) <= axis or variable.shape[axis] != listed.total:
            msg = f"{source}: shape {variable.shape}, and {listed.total} samples are listed (axis {axis}; see --dims)."
            raise MepipeError(msg)
        yield lambda row: variable.read(axis, row.number)


def _only(names: Sequence[str], lookup: Lookup, axis: int, listed: List, source: Path) -> str:
    """The one variable that can hold all samples."""
    fitting: list[str] = []
    found: list[str] = []
    for name in names:
        try:
            shape = lookup(name).shape
            found.append(f"{name!r} {shape}")
            if len(shape) > 1 and shape[axis : axis + 1] == (listed.total,):
                fitting.append(name)
        except MepipeError as error:
            found.append(str(error))
    if len(fitting) != 1:
        msg = (
            f"{source}: which array holds the {listed.total} samples? Say --variable NAME, and --dims where they are "
            f"not along the first axis. There are: {'; '.join(found[:6]) or 'none'}"
        )
        raise MepipeError(msg)
    return fitting[0]


@dataclass
class _Read:
    """What the first reading found: {id: (shape, dtype, digest)} of good samples, {id: reason} of others."""

    dims: tuple[str, ...] = ()
    known: dict[str, tuple[tuple[int, ...], np.dtype, str]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def framed(self) -> int:
        """1 where the first axis is frames, which may be more or fewer; else 0."""
        return int("frame" in self.dims)

    @property
    def common(self) -> tuple[tuple[int, ...], np.dtype]:
        """Shape (of a frame, where there are frames) and dtype of most samples."""
        return Counter((shape[self.framed :], dtype) for shape, dtype, _ in self.known.values()).most_common(1)[0][0]


def _read(listed: List, array: Callable[[Row], np.ndarray], about: About, tick: Callable[[], object]) -> _Read:
    found = _Read()
    for row in listed.rows:
        try:
            values = array(row)
            picture = Path(row.file).suffix.lower() in PICTURES
            found.dims = found.dims or axes(values, picture, about)
            values = prepared(values, found.dims, about)
            found.known[row.id] = (values.shape, values.dtype, digest(values))
        except UsageError:
            raise
        except MepipeError as error:
            found.failed[row.id] = _reason(listed, row, str(error))
        tick()
    if not found.known:
        msg = f"None of {len(listed.rows)} samples can be read. {next(iter(found.failed.values()))}"
        raise MepipeError(msg)
    shape, dtype = common = found.common
    for row in listed.rows:
        if row.id in found.known and (found.known[row.id][0][found.framed :], found.known[row.id][1]) != common:
            mine = found.known.pop(row.id)
            what = f"{mine[1]} {mine[0][found.framed :]}, and most are {dtype} {shape}"
            found.failed[row.id] = _reason(listed, row, f"{what}; where only the size differs: --resize HxW")
    return found


def _reason(listed: List, row: Row, problem: str) -> str:
    return " ".join(f"{listed.name}, line {row.line}: {row.file or row.variable or row.id}: {problem}".split())


@contextmanager
def opened(
    source: Path, listed: List, dataset: str, about: About, tick: Callable[[], object] = lambda: None
) -> Iterator[Incoming]:
    """The arrays of a folder or file as a feature that can be taken into a store; read once here, and again then.

    What is wrong with one row is in its record, with line and file. MepipeError where no row is good.
    """
    with _arrays(source, listed, about) as array:
        found = _read(listed, array, about, tick)
        by_id = {row.id: row for row in listed.rows}
        yield Incoming(
            dataset,
            [dict(row.sample) for row in listed.rows],
            _spec(source, listed, found, about),
            {
                row.id: Record(row.id, "failed", "", reason=found.failed[row.id])
                if row.id in found.failed
                else Record(row.id, "done", found.known[row.id][2], digest=found.known[row.id][2])
                for row in listed.rows
            },
            lambda sample: prepared(array(by_id[sample]), found.dims, about),
        )


def _spec(source: Path, listed: List, found: _Read, about: About) -> FeatureSpec:
    """The skeleton. Its key is a hash of all values and of what was said about them, whatever the files are called."""
    shape, dtype = found.common
    dims = stored_order(found.dims, dtype)
    picture = dtype == np.uint8 and dims[-1] == "channel" and shape[-1] == 3
    digests = {sample: digest for sample, (_, _, digest) in found.known.items()}
    params: dict[str, Any] = {
        "content": _hash(digests),
        "dims": list(dims),
        "channels": list(about.channels or (("red", "green", "blue") if picture else ())),
        "units": about.units or ("grey level, 0..255" if picture else ""),
        "resize": list(about.resize) if about.resize else None,
    }
    key = _hash(["foreign", VERSION, params])
    lineage = {
        "stage": "foreign",
        "version": VERSION,
        "params": {"source": source.name, "list": listed.name, **params},
        "libraries": {"opencv-contrib-python": version("opencv-contrib-python")} if about.resize else {},
        "upstream": "made elsewhere",
    }
    lengths = {sample: shape[0] for sample, (shape, _, _) in found.known.items()} if found.framed else {}
    return FeatureSpec(
        folder=f"{about.node}-{key[:8]}",
        dims=dims,
        shape=(max(lengths.values()), *shape) if lengths else shape,
        dtype=dtype.name,
        channels=tuple(params["channels"]),
        positions=[_position(row, lengths.get(row.id, 0)) for row in listed.rows] if lengths else None,
        varying=bool(lengths),
        attributes={
            "node": about.node,
            "key": key,
            "stage": "foreign",
            "version": VERSION,
            "params": params,
            "lineage": lineage,
            "reads": [],
            "units": params["units"],
            "shows_face": about.shows_face,
            "foreign": True,
            "made_by": f"mepipe {__version__}",
        },
    )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _position(row: Row, frames: int) -> np.ndarray:
    """The frame numbers that frames stand for: known where there is one for each from onset to offset, else NaN."""
    onset, offset = row.sample["onset"], row.sample["offset"]
    known = onset is not None and offset is not None and offset - onset + 1 == frames
    return np.arange(frames, dtype=np.float64) + onset if known else np.full(frames, np.nan)


def set_ref(store: Store, incoming: Incoming) -> None:
    """Make a foreign feature found by its name: the latest import of that name counts."""
    node = str(incoming.spec.attributes["node"])
    snapshot = incoming.path.split("/")[0]
    store.set_ref(incoming.dataset, f"foreign-{node}", snapshot, {node: incoming.spec.folder})


def check_name(store: Store, dataset: str, node: str) -> None:
    """UsageError where a recipe's own feature is called so: the trainers would not know which is meant."""
    if dataset not in store.datasets():
        return
    for recipe, ref in store.refs(dataset).items():
        if node in ref.nodes and recipe != f"foreign-{node}":
            msg = (
                f"{dataset} has a feature {node!r} of its own (recipe {recipe}). Name this one otherwise, with --node."
            )
            raise UsageError(msg)
