"""Arrays in files made elsewhere: .npy, .npz, .png, .jpg; .h5 and .mat. Each is measured before it is read."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

import h5py
import numpy as np

from mepipe.errors import MepipeError, SampleError, UsageError
from mepipe.store import _h5
from mepipe.store._h5 import RATIO, SAMPLE_LIMIT

PICTURES = (".png", ".jpg", ".jpeg")
CONTAINERS = (".h5", ".hdf5", ".mat")
PIXELS = 90_000_000  # of one picture, about what Pillow warns at
_MATLAB = {"double": 8, "single": 4, "logical": 1, **{f"{u}int{n}": n // 8 for u in ("", "u") for n in (8, 16, 32, 64)}}


def inside(folder: Path, name: str) -> Path:
    """The file of that name in a folder; SampleError where it is not there, or lies somewhere else in truth."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if not name or "\0" in name or parts.is_absolute() or ".." in parts.parts:
        raise SampleError("a file inside the folder is expected, without '..'")
    path = folder / parts
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SampleError("leads out of the folder")
    if not path.is_file():
        raise SampleError("no such file")
    return path


def load(path: Path, variable: str = "") -> np.ndarray:
    """The one array of a file; SampleError says why it cannot be had. variable: which, in an .npz with several."""
    readers: dict[str, Callable[[], np.ndarray]] = {
        ".npy": lambda: _npy_file(path),
        ".npz": lambda: _npz(path, variable),
        **dict.fromkeys(PICTURES, lambda: _picture(path)),
    }
    if path.suffix.lower() not in readers:
        raise SampleError(f"{path.suffix or 'a file without suffix'} is not read; {', '.join(readers)} are")
    try:
        return readers[path.suffix.lower()]()
    except MepipeError:
        raise
    except Exception as error:  # parsers of broken files raise whatever they like
        raise SampleError(f"cannot be read ({type(error).__name__}: {error})") from error


def _npy_file(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return _npy(file, path.stat().st_size)


def _npy(stream: IO[bytes], size: int) -> np.ndarray:
    """The array of an .npy stream of that many bytes, which its header must agree with."""
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise SampleError(f".npy of version {version}, which plain arrays never need")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise SampleError("holds Python objects (a pickle), which are never loaded")
    declared = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or declared != size - stream.tell() or declared > SAMPLE_LIMIT:
        found = f"declares {dtype} {shape}, {declared} bytes, and {size - stream.tell()} follow"
        raise SampleError(f"{found} ({SAMPLE_LIMIT} is the limit)")
    values = np.frombuffer(stream.read(declared), dtype)
    return values.reshape(shape, order="F" if fortran else "C")


def _npz(path: Path, variable: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        arrays = [i for i in archive.infolist() if i.filename.endswith(".npy")]
        chosen = [i for i in arrays if not variable or i.filename == f"{variable}.npy"]
        if len(chosen) != 1:
            names = ", ".join(i.filename.removesuffix(".npy") for i in arrays[:8]) or "none"
            raise SampleError(f"holds {len(chosen)} arrays that could be meant (column variable; there are: {names})")
        info = chosen[0]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SampleError("is compressed otherwise than NumPy does")
        if info.file_size > min(path.stat().st_size, info.compress_size) * RATIO + 1024:
            raise SampleError(f"declares {info.file_size} bytes in {info.compress_size}, which cannot be")
        with archive.open(info) as stream:
            return _npy(stream, info.file_size)


def _picture(path: Path) -> np.ndarray:
    """uint8 [y, x] or [y, x, channel] (red, green, blue); uint16 [y, x] where so it is stored."""
    try:
        from PIL import Image
    except ImportError:
        msg = "Pillow reads pictures, and is not installed. Install it with: pip install 'mepipe[extract]'"
        raise UsageError(msg) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # Pillow's limit is ours, and an error here
        opened = Image.open(path, formats=("PNG", "JPEG"))
    with opened as image:
        if math.prod(image.size) > PIXELS:
            raise SampleError(f"a picture of {image.size[0]} x {image.size[1]}; {PIXELS} pixels is the limit")
        if image.mode in ("L", "RGB", "I;16"):
            return np.asarray(image)
        grey = image.mode in ("1", "LA")
        return np.asarray(image.convert("L" if grey else "RGB"))


@dataclass(frozen=True)
class Variable:
    """An array in a container. shape: as its author sees it. read(axis, index): one of an axis; read(None, 0): all."""

    shape: tuple[int, ...]
    read: Callable[[int | None, int], np.ndarray]


Lookup = Callable[[str], Variable]


@contextmanager
def container(path: Path) -> Iterator[tuple[Sequence[str], Lookup]]:
    """The names in an .h5 or .mat file, and a function that gives the variable of a name (MepipeError: why not)."""
    matlab = path.suffix.lower() == ".mat"
    if matlab and not h5py.is_hdf5(path):
        shapes = _whos(path)
        yield list(shapes), lambda name: _matlab5(path, name, shapes)
        return
    with _h5.open_file(path) as file:

        def lookup(name: str) -> Variable:
            with _h5.guard(path):
                return _hdf5(_h5.member(file, name), matlab)

        with _h5.guard(path):
            names = [name for name in file if not name.startswith("#")]  # MATLAB's own
        yield names, lookup


def _hdf5(found: Any, matlab: bool) -> Variable:
    """MATLAB keeps axes the other way round in its HDF5 files: they are turned back."""
    if matlab and "MATLAB_class" in found.attrs and _h5.text(found, "MATLAB_class") not in _MATLAB:
        raise _h5.refuse(_h5.place(found), f"is a {_h5.text(found, 'MATLAB_class')}, not an array of numbers")
    if isinstance(found, h5py.Dataset):
        _h5.numeric(found)
    data = _h5.check(found)

    def read(axis: int | None, index: int) -> np.ndarray:
        if axis is not None and matlab:
            axis = data.ndim - 1 - axis
        sides = (slice(index, index + 1) if k == axis else slice(0, n) for k, n in enumerate(data.shape))
        values = _h5.read(data, tuple(sides))
        values = values if axis is None else values.squeeze(axis)
        return values.T if matlab else values

    return Variable(data.shape[::-1] if matlab else data.shape, read)


def _whos(path: Path) -> Mapping[str, tuple[tuple[int, ...], str]]:
    """{name: (shape, class)} of a MATLAB 5 file, from its headers."""
    from scipy.io import whosmat

    try:
        with path.open("rb") as file:
            if not file.read(19).startswith(b"MATLAB 5.0 MAT-file"):
                msg = "neither version 5 nor 7.3. In MATLAB: save(file, variable, '-v7')"
                raise MepipeError(f"{path}: {msg}")
        return {name: (tuple(map(int, shape)), kind) for name, shape, kind in whosmat(path)}
    except MepipeError:
        raise
    except Exception as error:  # as in load
        msg = f"{path}: not a MATLAB file, or a part of one ({type(error).__name__}: {error}). Save it again."
        raise MepipeError(msg) from error


def _matlab5(path: Path, name: str, shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> Variable:
    from scipy.io import loadmat

    where = f"{path}: {name!r}"
    if name not in shapes:
        raise _h5.refuse(where, "is not in the file")
    shape, kind = shapes[name]
    if kind not in _MATLAB:
        raise _h5.refuse(where, f"is a {kind}, not an array of numbers")
    size, room = math.prod(shape) * _MATLAB[kind], path.stat().st_size * RATIO * 8  # 8: doubles may be kept as bytes
    if min(shape, default=1) < 0 or size > min(room, SAMPLE_LIMIT):
        raise _h5.refuse(where, f"declares {size} bytes; what the file can hold is {room}, the limit {SAMPLE_LIMIT}")

    @cache
    def values() -> np.ndarray:
        try:
            return np.asarray(loadmat(path, variable_names=[name])[name])
        except Exception as error:  # as in load
            raise _h5.refuse(where, f"cannot be read ({type(error).__name__}: {error})") from error

    return Variable(shape, lambda axis, index: values() if axis is None else values().take(index, axis))
