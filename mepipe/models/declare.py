"""What a model declares. Its command, options, run folder and comparison with its paper all follow from this.

A model is one module in this package (with others of its name where it is long): a parameter model, `MODEL`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from mepipe.errors import UsageError
from mepipe.names import nearest

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from mepipe.models.learner import Learner, Schedule

SUMMARIES = {
    "mpt": "Motion Prompt Tuning: rank-pooled image and magnified frames into an adapted vision transformer.",
}


class Config(BaseModel):
    """Parameters of a model and its training. Every field has a description, bounds and a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(50, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(16, ge=1, description="Samples in a batch.")
    lr: float = Field(1e-3, gt=0, description="Learning rate.")


class Source(Protocol):
    """One input of all samples: a tensor [N, ...], or what reads rows of one from a store as they are asked for."""

    def __getitem__(self, rows: Tensor, /) -> Tensor: ...


class Feature(Protocol):
    """What a model reads of a stored feature: one sample's array, by its id."""

    def __getitem__(self, sample: str, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Model:
    """A model that `mepipe train` knows.

    recipe: the one that computes what it reads. configurations: by name, the first being the default: the paper's own,
    `tiny` for trying out, rows of the paper's tables. features: nodes of the recipe that a configuration reads.
    inputs: (config, features by node, sample ids in order) -> the inputs of all samples.
    build: (config, number of classes, checkpoint or None for random weights, seed) -> what makes a network for a fold,
    drawing what is not in the checkpoint from Torch's own generator. weights: the name of the checkpoint that a
    configuration begins with, None where it begins with nothing.
    """

    name: str
    recipe: str
    config: type[Config]
    configurations: Mapping[str, Any]
    features: Callable[[Any], tuple[str, ...]]
    inputs: Callable[[Any, Mapping[str, Feature], Sequence[str]], tuple[Source, ...]]
    build: Callable[[Any, int, Path | None, int], Callable[[], Learner]]
    schedule: Callable[[Any], Schedule]
    weights: Callable[[Any], str | None] = lambda config: None


def get(name: str) -> Model:
    """The model of that name; UsageError names the nearest where there is none."""
    if name not in SUMMARIES:
        msg = f"No model {name!r}.{nearest(name, SUMMARIES)} Models: {', '.join(SUMMARIES)}."
        raise UsageError(msg)
    model: Model = importlib.import_module(f"mepipe.models.{name.replace('-', '_')}").MODEL
    return model
