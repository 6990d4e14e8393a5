"""A perceptron with one hidden layer on pooled flow."""

from __future__ import annotations

from pydantic import Field

from mepipe.models.configs import Config


class MLPConfig(Config):
    """Parameters of the perceptron, and of the pooling."""

    epochs: int = Field(100, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(32, ge=1, description="Samples in a batch.")
    grid: int = Field(4, ge=1, le=28, description="Rows and columns of cells that u, v and strain are pooled over.")
    hidden: int = Field(16, ge=1, description="Units of the hidden layer.")
    weight_decay: float = Field(1e-3, ge=0, description="Weight decay.")


CONFIGURATIONS = {"paper": MLPConfig(), "tiny": MLPConfig(epochs=30, lr=3e-3)}
