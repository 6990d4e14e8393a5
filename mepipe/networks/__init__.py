"""Networks whose public checkpoints are read: modules with the keys and shapes of the published ones, in eval mode.

Named weights, which stages use, are those of `mepipe.weights`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

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
        if error.name not in ("torch", "torchvision"):
            raise
        msg = f"Network {name!r} needs {error.name}, which is not installed. Run: pip install 'mepipe[extract]'"
        raise MepipeError(msg) from None
    return made.eval()


def load(name: str, path: Path | str) -> nn.Module:
    """`build(name)` with the weights of a public checkpoint file, however it nests or prefixes its keys.

    UsageError where there is no such network or file; MepipeError where the file is no checkpoint of the network.
    """
    made = build(name)
    from mepipe.networks import checkpoints

    checkpoints.fill(made, checkpoints.read(path), path, name)
    return made
