"""The majority vote: the commonest class of the training samples, and its share as its probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mepipe.models import maps
from mepipe.models.configs.majority import MajorityConfig
from mepipe.models.declare import Feature, Model


def inputs(config: MajorityConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor]:
    """Nothing about the samples but how many there are: zeros, float32 [N, 1]."""
    return (torch.zeros(len(samples), 1),)


def estimator(config: MajorityConfig) -> Any:
    """scikit-learn's: of two classes that are equally common, the first."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


MODEL = Model(
    name="majority",
    recipe=lambda config: "features",
    features=lambda config: (maps.NODE,),  # so that it is asked about the samples that the other baselines are
    inputs=inputs,
    estimator=estimator,
)
