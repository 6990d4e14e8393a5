"""Parameters of Ra-ICL, the rows of its table 3, and a size to try it at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mepipe.models.configs import Config


class RaICLConfig(Config):
    """One configuration of Ra-ICL. The defaults are the paper's (section 4.1, A.1.2), but from `size` on, where
    it says nothing."""

    epochs: int = Field(100, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(32, ge=1, description="Samples in a batch.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay.")
    decay: float = Field(0.9, gt=0, le=1, description="Factor of the learning rate from each epoch to the next.")
    instances: Literal["middle", "apex", "apex-window", "full", "random", "uniform"] = Field(
        "middle", description="How instances were chosen; apex: one map, of the flow from onset to apex."
    )
    irc: bool = Field(True, description="Instance region consistency: equal attention for two instances.")
    mrd: bool = Field(True, description="Multi-region discovery, by facial queries.")
    queries: int = Field(8, ge=1, description="Facial queries.")
    momentum: float = Field(0.99, ge=0, le=1, description="How much the target network keeps of itself in a step.")
    weight_classification: float = Field(0.5, ge=0, description="Weight of the classification loss (lambda 1).")
    weight_attention: float = Field(0.5, ge=0, description="Weight of attention consistency (lambda 2).")
    weight_regions: float = Field(0.5, ge=0, description="Weight of multi-region discovery (lambda 3).")
    size: int = Field(224, ge=64, description="Height and width that maps are brought to.")
    width: int = Field(64, ge=4, description="Channels of the first of the residual network's stages.")
    pool: bool = Field(True, description="Pooling after the first convolution; without it small maps keep more places.")
    dim: int = Field(256, ge=8, multiple_of=8, description="Length of mask and facial embeddings.")
    layers: int = Field(2, ge=1, description="Layers of the decoder that reads the facial queries.")
    temperature: float = Field(1.0, gt=0, description="Of the softmax over regions; 1 is none, as in the paper.")
    temperature_target: float = Field(1.0, gt=0, description="The same, of the target network.")
    gain: float = Field(0.4, ge=0, lt=1, description="How far a map is strengthened or weakened at random.")
    blur: float = Field(2.0, ge=0, description="Widest random Gaussian blur, pixels at size 224; 0: none.")


_ROWS = {
    "paper": {},  # M6
    # small batches and a rate that falls slowly: of few samples there would be too few steps else
    "tiny": {"size": 64, "width": 16, "pool": False, "dim": 64, "layers": 1, "epochs": 50, "batch": 8, "decay": 0.96},
    # facial queries with what the paper does without: see `ra_icl_regions`
    "sharp": {"temperature": 0.1, "temperature_target": 0.04},
    # trains on maps from elsewhere too, imported with: mepipe store import --node motion-map
    "M1": {"instances": "apex", "irc": False, "mrd": False},
    "M2": {"irc": False, "mrd": False},
    "M3": {"instances": "apex"},
    "M4": {"irc": False},
    "M5": {"mrd": False},
    "M6": {},
    "M7": {"instances": "apex-window"},
    "M8": {"instances": "full"},
    "M9": {"instances": "random"},
    "M10": {"instances": "uniform"},
}
CONFIGURATIONS = {name: RaICLConfig.model_validate(changes) for name, changes in _ROWS.items()}
