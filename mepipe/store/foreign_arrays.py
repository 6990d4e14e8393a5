"""Arrays made elsewhere, as the store keeps them: axes named and in its order, numbers only, finite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mepipe.errors import SampleError, UsageError

_NODE = re.compile(r"[a-z][a-z0-9._]*(-[a-z0-9._]+)*")
_DIM = re.compile(r"[a-z][a-z0-9_]*")
_AXES = {"frame", "channel", "y", "x"}
_GUESSED = {1: ("feature",), 2: ("y", "x")}


@dataclass(frozen=True)
class About:
    """What the arrays are, which only who has them can say.

    dims: names of the axes as they are in the files; with `sample` where one array holds all samples (default: first).
        Empty: guessed for one or two axes, and for pictures.
    channels: names along `channel`. units: of the values. resize: (height, width) to bring each to, by area.
    variable: the name of the one array that holds all samples.
    """

    node: str
    shows_face: bool
    dims: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    units: str = ""
    resize: tuple[int, int] | None = None
    variable: str = ""

    def __post_init__(self) -> None:
        if not _NODE.fullmatch(self.node):
            msg = f"{self.node!r} cannot name a feature. Say --node with small letters, digits, . _ and single -."
            raise UsageError(msg)
        bad = [d for d in self.dims if not _DIM.fullmatch(d) or d in ("data", "samples", "position", "length")]
        if bad or len(set(self.dims)) < len(self.dims):
            msg = f"--dims {','.join(self.dims)}: each axis needs a name of its own, such as y,x,channel."
            raise UsageError(msg)


def stored_order(dims: Sequence[str], dtype: np.dtype) -> tuple[str, ...]:
    """The order of axes in the store: frames first; of pictures (uint8) the channel last, of fields before y and x.

    >>> stored_order(("y", "x", "channel"), np.dtype("float32"))
    ('channel', 'y', 'x')
    """
    rest = [d for d in dims if d != "frame"]
    if set(dims) <= _AXES:
        order = ("y", "x", "channel") if dtype == np.uint8 else ("channel", "y", "x")
        rest = [d for d in order if d in rest]
    return (*(("frame",) if "frame" in dims else ()), *rest)


def _resized(values: np.ndarray, dims: Sequence[str], size: tuple[int, int]) -> np.ndarray:
    """Brought to a height and width by averaging areas (OpenCV INTER_AREA); values are not scaled."""
    try:
        import cv2
    except ImportError:
        msg = "OpenCV resizes, and is not installed. Install it with: pip install 'mepipe[extract]'"
        raise UsageError(msg) from None
    if values.dtype.name not in ("uint8", "int16", "uint16", "float32", "float64"):
        raise SampleError(f"{values.dtype} cannot be resized; float32, float64, uint8, int16 and uint16 can")
    planes = np.moveaxis(values, [dims.index("y"), dims.index("x")], [-2, -1])
    flat = np.ascontiguousarray(planes).reshape(-1, *planes.shape[-2:])
    small = np.stack([cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA) for plane in flat])
    return np.moveaxis(small.reshape(*planes.shape[:-2], *size), [-2, -1], [dims.index("y"), dims.index("x")])


def prepared(values: np.ndarray, dims: Sequence[str], about: About) -> np.ndarray:
    """An array as it will be stored; SampleError says what is wrong with it."""
    if values.dtype.kind not in "fiub" or values.dtype.itemsize > 8:
        raise SampleError(f"holds {values.dtype}, not numbers")
    if values.ndim != len(dims) or values.size == 0:
        raise SampleError(f"has shape {values.shape}, and axes {', '.join(dims)} are expected")
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise SampleError(f"{int((~np.isfinite(values)).sum())} of its values are not finite")
    if about.resize:
        values = _resized(values, dims, about.resize)
    if about.channels and ("channel" not in dims or values.shape[dims.index("channel")] != len(about.channels)):
        names = ",".join(about.channels)
        raise SampleError(f"has shape {values.shape} with axes {', '.join(dims)}; --channels {names} does not fit")
    order = stored_order(dims, values.dtype)
    return np.ascontiguousarray(values.transpose([dims.index(d) for d in order]))


def axes(values: np.ndarray, picture: bool, about: About) -> tuple[str, ...]:
    """The names of an array's axes, as said or as they can only be; UsageError where they must be said."""
    if about.dims:
        return tuple(d for d in about.dims if d != "sample")
    found = ("y", "x", "channel") if picture and values.ndim == 3 else _GUESSED.get(values.ndim)
    if found is None:
        msg = f"What are the axes of arrays of shape {values.shape}? Say --dims, such as y,x,channel."
        raise UsageError(msg)
    return found
