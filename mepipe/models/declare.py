"""What a model declares. Its command, options, run folder and comparison with its paper all follow from this.

A model is a module in this package (with others of its name where it is long) that ends in `MODEL`, and a light one in
`configs`, which Torch is not imported for: a class of parameters, `CONFIGURATIONS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mepipe.models import configs

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from mepipe.models.learner import Learner, Schedule


class Source(Protocol):
    """One input of all samples: a tensor [N, ...], or what reads rows of one from a store as they are asked for."""

    def __getitem__(self, rows: Tensor, /) -> Tensor: ...


class Feature(Protocol):
    """What a model reads of a stored feature: one sample's array, by its id."""

    def __getitem__(self, sample: str, /) -> np.ndarray: ...


def _not_trained(*asked: Any) -> Any:
    msg = "This model is fitted, not trained by steps: it has an estimator."
    raise TypeError(msg)


@dataclass(frozen=True)
class Also:
    """Something that a network says beside its logits (`Learner.also`), scored against a label scheme of its own.

    classes: of its scores, in order; the scheme has the same. what: for a person.
    """

    scheme: str
    classes: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Model:
    """A model that `mepipe train` knows.

    recipe: the one that computes what a configuration reads; features: the nodes of it.
    inputs: (config, features by node, sample ids in order) -> the inputs of all samples. build: (config, names of
    classes or action units, files of the weights by name, seed) -> what makes a network for a fold, drawing what is in
    no file from Torch's own generator; no files: random weights were asked for. weights: names of those that a
    configuration begins with, of `models.backbones` or `mepipe.weights`. texts: names of the prompts (`models.prompts`)
    that it reads, whose digests the run keeps. estimator: instead of build and schedule, config -> a classifier of
    scikit-learn that has not been fitted, with predict_proba; inputs are then one array [N, D]. units: it detects
    action units: labels and logits are [B, units], labels float32 0 or 1. aus: it reads what is annotated too: among
    its features, under the name `aus`, each sample's action units as the manifest has them.
    also: by name, what its network says beside its logits.
    """

    name: str
    recipe: Callable[[Any], str]
    features: Callable[[Any], tuple[str, ...]]
    inputs: Callable[[Any, Mapping[str, Feature], Sequence[str]], tuple[Source, ...]]
    build: Callable[[Any, Sequence[str], Mapping[str, Path], int], Callable[[], Learner]] = _not_trained
    schedule: Callable[[Any], Schedule] = _not_trained
    weights: Callable[[Any], tuple[str, ...]] = lambda config: ()
    texts: tuple[str, ...] = ()
    estimator: Callable[[Any], Any] | None = None
    units: bool = False
    aus: bool = False
    also: Mapping[str, Also] = field(default_factory=dict)


def get(name: str) -> Model:
    """The model of that name; UsageError names the nearest where there is none."""
    configs.check(name)
    model: Model = importlib.import_module(f"mepipe.models.{name.replace('-', '_')}").MODEL
    return model
