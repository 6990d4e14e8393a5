"""STSTNet (Liong et al. 2019): parameters of a shallow three-stream network."""

from __future__ import annotations

from pydantic import Field

from mepipe.models.configs import Config


class STSTNetConfig(Config):
    """The defaults are those of the authors' program (christy1206/STSTNet, main.py)."""

    epochs: int = Field(800, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(256, ge=1, description="Samples in a batch.")
    lr: float = Field(5e-5, gt=0, description="Learning rate of Adam.")
    norm: bool = Field(True, description="Batch normalisation after each convolution.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of each stream's values that is dropped.")


CONFIGURATIONS = {
    "paper": STSTNetConfig(),
    # ours: nothing drawn, nothing but parameters learned, so that many folds train as one
    "plain": STSTNetConfig(epochs=100, batch=32, lr=1e-3, norm=False, dropout=0),
    "tiny": STSTNetConfig(epochs=30, batch=16, lr=3e-3, norm=False, dropout=0),
}
