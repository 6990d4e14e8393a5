"""Parameters of the models and their named configurations, without Torch: what help, options and messages need."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mepipe.errors import UsageError
from mepipe.names import nearest
from mepipe.recipe.model import explain

SUMMARIES = {
    "mpt": "Motion Prompt Tuning: rank-pooled image and magnified frames into an adapted vision transformer.",
    "ra-icl": "Region-aware instance consistency: sets of motion maps, equal attention across them, facial queries.",
    "mer-clip": "MER-CLIP: key frames into UniFormerV2, aligned with texts of action units, and a transformer head.",
    "micro-au-clip": "Micro-AU CLIP: action units from patches of flow, each compared with texts of its own.",
    "hcp-mer": "HCP_MER: CLIP's embeddings of magnified apex and flow map, compared with learned groups of prompts.",
    "majority": "Baseline: The commonest class of the training samples.",
    "logistic": "Baseline: Logistic regression on motion maps pooled over cells of the face.",
    "mlp": "Baseline: One hidden layer on motion maps pooled over cells of the face.",
    "ststnet": "Baseline: STSTNet: a shallow three-stream CNN on motion maps of 28x28.",
    "resnet18-flow": "Baseline: ResNet-18 from random weights on motion maps.",
}
DEFAULT = "paper"


class Parameters(BaseModel):
    """Parameters of a model: typed, frozen, closed. Every field has a description, bounds and a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Config(Parameters):
    """Parameters of a model and its training."""

    epochs: int = Field(50, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(16, ge=1, description="Samples in a batch.")
    lr: float = Field(1e-3, gt=0, description="Learning rate.")


def check(name: str) -> None:
    """UsageError where there is no model of that name, with the nearest."""
    if name not in SUMMARIES:
        msg = f"No model {name!r}.{nearest(name, SUMMARIES)} Models: {', '.join(SUMMARIES)}."
        raise UsageError(msg)


def configurations(model: str) -> Mapping[str, Parameters]:
    """The named configurations of a model: `paper` (the default), `tiny` for trying out, rows of the paper's tables."""
    check(model)
    found: Mapping[str, Parameters] = importlib.import_module(
        f"mepipe.models.configs.{model.replace('-', '_')}"
    ).CONFIGURATIONS
    return found


def choose(model: str, name: str = DEFAULT, changes: Mapping[str, Any] | None = None) -> Parameters:
    """A configuration by name, with other values for some of its fields; UsageError names what does not fit."""
    known = configurations(model)
    if name not in known:
        msg = f"{model} has no configuration {name!r}.{nearest(name, known)} There are: {', '.join(known)}."
        raise UsageError(msg)
    try:
        return type(known[name]).model_validate({**known[name].model_dump(), **(changes or {})})
    except ValidationError as error:
        msg = f"Configuration {name} of {model}: {explain(error, type(known[name]))}"
        raise UsageError(msg) from None
