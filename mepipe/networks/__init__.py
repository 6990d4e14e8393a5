"""Networks whose public checkpoints are read: modules with the keys and shapes of the published ones, in eval mode.

Named weights, which stages use, are those of `mepipe.weights`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mepipe.errors import MepipeError, UsageError
from mepipe.names import nearest

if TYPE_CHECKING:
    from torch import nn

# name: the module, and what in it makes the network with freshly drawn weights
NETWORKS = {
    "flownet2": "mepipe.networks.flownet2:FlowNet2",
    "flownet2c": "mepipe.networks.flownet2:FlowNet2C",
    "flownet2s": "mepipe.networks.flownet2:FlowNet2S",
    "flownet2sd": "mepipe.networks.flownet2:FlowNet2SD",
    "flownet2cs": "mepipe.networks.flownet2:FlowNet2CS",
    "flownet2css": "mepipe.networks.flownet2:FlowNet2CSS",
    "raft_large": "torchvision.models.optical_flow:raft_large",
    "raft_small": "torchvision.models.optical_flow:raft_small",
    "magnet": "mepipe.networks.magnet:magnet",
    "magnet_deepmag_postech": "mepipe.networks.magnet:magnet_deepmag_postech",
    "uniformerv2_b16_ssv2_16x224": "mepipe.networks.uniformerv2:uniformerv2_b16_ssv2_16x224",
    "clip_vit_b32": "mepipe.networks.clip:vit_b32",
    "clip_vit_b16": "mepipe.networks.clip:vit_b16",
    "mer_clip_vision": "mepipe.networks.mer_clip:mer_clip_vision",
    "mer_clip_head": "mepipe.networks.mer_clip:mer_clip_head",
    "mer_clip_text": "mepipe.networks.mer_clip:mer_clip_text",
}


def build(name: str) -> nn.Module:
    """The network of that name, in eval mode, its weights random: fill them with `load`, or with a state dict.

    UsageError names the nearest where there is none; MepipeError where Torch is not installed.

    >>> sum(p.numel() for p in build("raft_small").parameters())
    990162
    """
    if name not in NETWORKS:
        msg = f"No network {name!r}.{nearest(name, NETWORKS)} Networks: {', '.join(NETWORKS)}."
        raise UsageError(msg)
    module, maker = NETWORKS[name].split(":")
    try:
        made: nn.Module = getattr(importlib.import_module(module), maker)()
    except ModuleNotFoundError as error:
        extra = {"torch": "extract", "torchvision": "extract", "open_clip": "train"}.get(error.name or "")
        if extra is None:
            raise
        msg = f"Network {name!r} needs {error.name}, which is not installed. Run: pip install 'mepipe[{extra}]'"
        raise MepipeError(msg) from None
    return made.eval()


def load(name: str, path: Path | str) -> nn.Module:
    """`build(name)` with the weights of a public checkpoint file, however it nests or prefixes its keys.

    UsageError where there is no such network or file; MepipeError where the file is no checkpoint of the network.
    """
    made = build(name)
    from mepipe.networks import checkpoints

    state = checkpoints.read(path)
    accepted: Any = getattr(made, "accepted", dict)  # of a file that holds more than this network
    state = accepted(state)
    checkpoints.fill(made, state, path, name)
    return made
