"""What a stage declares. Its command, recipe schema, cache key, Zarr array and documentation all follow from this.

A stage is one module in this package: a parameter model, a function from arrays to an array, and `STAGE`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from mepipe.errors import UsageError
from mepipe.names import nearest
from mepipe.stages import names

Kind = Literal["source", "clip", "flow", "array"]
Shape = tuple[int, ...]


class Params(BaseModel):
    """Parameters of a stage: typed, frozen, closed. Every field has a description, bounds and a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoParams(Params):
    """A stage without parameters."""


@dataclass(frozen=True)
class Source:
    """What a stage that reads a recording is given: frames are decoded as they are asked for, each once.

    frames: iterable of (frame number, uint8 [H, W, C]) from onset to offset.
    onset, apex, offset: frame numbers; apex is None where the database has none. fps: frames per second.
    """

    frames: Iterable[tuple[int, np.ndarray]]
    onset: int
    apex: int | None
    offset: int
    fps: float


@dataclass(frozen=True)
class Annotation:
    """What is known of a sample before a frame is read."""

    onset: int
    apex: int | None
    offset: int
    fps: float


@dataclass(frozen=True)
class Output:
    """The array of one sample: dims without `sample`, dtype, units (empty: the input's), names along `channel`."""

    kind: Kind
    dims: tuple[str, ...]
    dtype: str
    units: str
    shows_face: bool
    channels: tuple[str, ...] = ()


def _nothing(params: Any) -> tuple[str, ...]:
    return ()


def _now(params: Any) -> bool:
    return False


@dataclass(frozen=True)
class Stage:
    """A pure function of arrays with typed parameters and a version.

    version: raised whenever the same input and parameters would give other values.
    inputs: the kinds that its input may have: one of these.
    output: of one sample; a function of the parameters.
    compute: (input, params) -> Clip where the output's kind is `clip`, else an array of the declared dims.
    shape: (params, the input's shape) -> shape without the frame axis.
    timeline: (params, annotation, the input's frame numbers) -> the frame number that each output frame
        stands for, float64; None where the output has no frame axis.
    reads: manifest fields (beside onset and offset, which choose the frames) that the output depends on.
    libraries: distributions whose version changes the values.
    loads: modules that compute imports and that take long to: loaded ahead, once for all worker processes.
    on_device: compute takes a keyword `device` ("cpu", "cuda", "cuda:1"), which changes the values by rounding alone.
    weights: names (see mepipe.weights) of the weights that the parameters call for; their digests, and the version of
        Torch, are part of the key.
    deferred: whether its clip is computed when frames are asked for (`Clip.course`), and takes no memory until then.
    """

    name: str
    version: int
    params: type[Params]
    inputs: tuple[Kind, ...]
    output: Callable[[Any], Output]
    compute: Callable[..., Any]
    shape: Callable[..., Shape]
    timeline: Callable[[Any, Annotation, np.ndarray], np.ndarray] | None = None
    reads: Callable[[Any], tuple[str, ...]] = _nothing
    libraries: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    on_device: bool = False
    weights: Callable[[Any], tuple[str, ...]] = _nothing
    deferred: Callable[[Any], bool] = _now

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)  # between processes a stage travels as its name

    @property
    def summary(self) -> str:
        """One line for help and documentation: the first of the compute function's docstring."""
        return (self.compute.__doc__ or "").strip().splitlines()[0]


def get(name: str) -> Stage:
    """The stage of that name; UsageError names the nearest where there is none."""
    if name not in names():
        msg = f"No stage {name!r}.{nearest(name, names())} Stages: {', '.join(names())}."
        raise UsageError(msg)
    stage: Stage = importlib.import_module(f"mepipe.stages.{name.replace('-', '_')}").STAGE
    return stage
