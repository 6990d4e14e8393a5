"""HCP_MER (paper: "Learning Holistic-Componential Prompt Groups for Micro-Expression Recognition"): its parameters, and
what its figures vary, by name."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mepipe.models.configs import Config


class HCPConfig(Config):
    """One configuration of HCP_MER. The defaults are the paper's (appendix C.3) for CASME II, SAMM and SMIC; it says
    nothing of the weight decay."""

    epochs: int = Field(300, ge=1, description="Epochs; the last one is reported.")
    batch: int = Field(16, ge=2, description="Samples in a batch.")
    lr: float = Field(1e-4, gt=0, description="Learning rate of AdamW.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    backbone: Literal["clip-vit-b32", "clip-vit-b16", "tiny"] = Field(
        "clip-vit-b32", description="The CLIP that embeds images and texts; tiny, for trying out."
    )
    pretrained: bool = Field(True, description="Begin with its published weights; else with random ones.")
    flow: Literal["flownet2", "tvl1"] = Field("flownet2", description="What the flow map was computed by.")
    branches: Literal["both", "holistic", "componential"] = Field(
        "both", description="The holistic branch (apex), the componential one (flow), or both."
    )
    context: int = Field(8, ge=0, le=24, description="Learned tokens of a prompt, half before its class tokens (k).")
    bottleneck: int = Field(64, ge=0, description="Width of the adapters within; 0: no adapters.")
    layers: int = Field(1, ge=1, le=8, description="Adapters one after another.")
    temperature: float = Field(0.01, gt=0, description="What cosines are divided by (tau).")
    negatives: Literal["classes", "batch", "branches"] = Field(
        "classes", description="Whose texts are the negatives of eq. 5: see mepipe.models.hcp_mer_losses.contrastive."
    )
    weight_consistency: float = Field(0.5, ge=0, description="Weight of the consistency constraint (lambda 1).")
    weight_focal: float = Field(0.5, ge=0, description="Weight of the focal loss (lambda 2).")
    focal_alpha: float = Field(0.25, gt=0, description="Factor of the focal loss (alpha).")
    focal_gamma: float = Field(2.0, ge=0, description="Exponent of the focal loss (gamma).")


_CASME3 = HCPConfig(bottleneck=128, layers=2)


def _casme3(**changes: object) -> HCPConfig:
    return _CASME3.model_copy(update=changes)


CONFIGURATIONS = {
    "paper": HCPConfig(),  # tables 1 and 4
    "paper-casme3": _CASME3,  # tables 2 and 3
    "tiny": HCPConfig(backbone="tiny", flow="tvl1", bottleneck=16, lr=3e-3, epochs=40),
    # Where eq. 5 leaves room, the other readings
    "negatives-batch": HCPConfig(negatives="batch"),
    "negatives-branches": HCPConfig(negatives="branches"),
    # The flow map where there are no weights of FlowNet 2.0
    "flow-tvl1": HCPConfig(flow="tvl1"),
    # Figure 4, on CAS(ME)^3: without the componential branch, the holistic one, adapters, consistency, the focal loss
    "without-com": _casme3(branches="holistic"),
    "without-hol": _casme3(branches="componential"),
    "without-adapter": _casme3(bottleneck=0),
    "without-cc": _casme3(weight_consistency=0.0),
    "without-lf": _casme3(weight_focal=0.0),
    # Figure 10, on the seven classes of CAS(ME)^3: lambda 1 and lambda 2; 0.5 is `paper-casme3`
    **{f"fig10-lambda1-{value}": _casme3(weight_consistency=value) for value in (0.01, 0.05, 0.1, 1.0)},
    **{f"fig10-lambda2-{value}": _casme3(weight_focal=value) for value in (0.01, 0.05, 0.1, 1.0)},
}
