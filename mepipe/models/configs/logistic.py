"""Multinomial logistic regression on pooled flow, by scikit-learn."""

from __future__ import annotations

from pydantic import Field

from mepipe.models.configs import Parameters


class LogisticConfig(Parameters):
    """Parameters of the regression, and of the pooling."""

    grid: int = Field(8, ge=1, le=28, description="Rows and columns of cells that u, v and strain are pooled over.")
    c: float = Field(1.0, gt=0, description="Inverse of the strength of L2 regularisation.")
    iterations: int = Field(2000, ge=1, description="Steps of the solver, at most.")


CONFIGURATIONS = {"paper": LogisticConfig(), "tiny": LogisticConfig(grid=4)}
