"""Multinomial logistic regression on pooled flow: what there is to learn without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mepipe.models import maps
from mepipe.models.configs.logistic import LogisticConfig
from mepipe.models.declare import Feature, Model


def inputs(config: LogisticConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor]:
    """Pooled flow, float32 [N, 6 grid^2]: see `maps.pooled`."""
    return (maps.pooled(read, samples, config.grid),)


def estimator(config: LogisticConfig) -> Any:
    """scikit-learn's, with L2 regularisation, on features standardised over the samples that it is fitted to."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=config.c, max_iter=config.iterations))


MODEL = Model(
    name="logistic",
    recipe=lambda config: "features",
    features=lambda config: (maps.NODE,),
    inputs=inputs,
    estimator=estimator,
)
