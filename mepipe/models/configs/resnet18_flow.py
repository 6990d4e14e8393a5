"""ResNet-18 (He et al. 2016), from random weights, on the motion map from onset to apex."""

from __future__ import annotations

from pydantic import Field

from mepipe.models.configs import Config


class ResNetConfig(Config):
    """Parameters of the baseline, ours: the field trains one in many ways."""

    batch: int = Field(32, ge=1, description="Samples in a batch.")
    size: int = Field(112, ge=32, le=448, description="Width and height of maps, pixels.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")


CONFIGURATIONS = {"paper": ResNetConfig(), "tiny": ResNetConfig(epochs=8, batch=16, size=48)}
