"""Ra-ICL (paper: "Region-aware Instance Consistency Learning for Apex-free Micro-expression Recognition").

A clip is a set of motion maps, from its onset to each of several frames (`ra_icl_instances`). A residual network learns
from two of them at once, beside a slowly following copy of itself that sees the other one, mirrored: both shall attend
to the same places (section 3.2) and find the same facial regions (3.3, `ra_icl_regions`). Where the paper is silent:

- All losses are taken in both directions, as eq. 10 and 14 say of theirs, since both instances pass through both
  networks anyway; those of eq. 4 and 6 are averaged over the two.
- The target network is a copy of all of the online one but the predictor, its classifier's weights among it, and
  normalises by its batch. No running averages are averaged: nothing reads the target's.
- Flow and strain are divided by their root mean square over the training samples of a fold. No mean is taken away, so
  that a mirrored face stays one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from mepipe.models.configs.ra_icl import RaICLConfig
from mepipe.models.declare import Feature, Model, Source
from mepipe.models.learner import Learner, Schedule
from mepipe.models.maps import FACE, NODE
from mepipe.models.ra_icl_instances import Instances, blur, flip, strengthen
from mepipe.models.ra_icl_regions import Regions, alignment, each, inconsistency, mlp


def residual(width: int, pool: bool) -> nn.Sequential:
    """ResNet-18 up to its last feature map (He et al. 2016), randomly initialised: [B, 3, H, W] -> [B, 8 width, h, w].

    h is H / 32, 7 at 224, or H / 16 without pooling. Of width 64 its weights are torchvision's by name.
    """
    trunk = nn.Sequential()
    trunk.add_module("conv1", nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False))
    trunk.add_module("bn1", nn.BatchNorm2d(width))
    trunk.add_module("relu", nn.ReLU(inplace=True))
    if pool:
        trunk.add_module("maxpool", nn.MaxPool2d(3, stride=2, padding=1))
    for stage in range(4):
        channels, before = width << stage, width << max(0, stage - 1)
        stride = 2 if stage else 1
        shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        first = BasicBlock(before, channels, stride, shortcut if stage else None)
        trunk.add_module(f"layer{stage + 1}", nn.Sequential(first, BasicBlock(channels, channels)))
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return trunk


def attention(features: Tensor, weight: Tensor) -> Tensor:
    """Class activation maps (eq. 5): features [B, C, h, w], classifier's weights [L, C] -> [B, L, h, w]."""
    return torch.einsum("lc,bchw->blhw", weight, features)


def attention_loss(online: Tensor, target: Tensor) -> Tensor:
    """Attention consistency (eq. 6): maps [B, L, h, w] of an instance, and of another that was mirrored.

    The mean square difference that the text names, and that the code of the flip consistency it cites (Zhang et al.
    2022, EAC) computes; eq. 6 is printed with the norm, not its square.
    """
    return F.mse_loss(online, target.flip(-1))


class Branch(nn.Module):
    """One of the two networks: trunk, classifier without bias (eq. 4), facial queries where regions are discovered."""

    regions: Regions

    def __init__(self, classes: int, config: RaICLConfig) -> None:
        super().__init__()
        channels = 8 * config.width
        self.trunk = residual(config.width, config.pool)
        self.head = nn.Linear(channels, classes, bias=False)
        if config.mrd:
            self.regions = Regions(channels, config.queries, config.dim, config.layers, config.temperature)

    def logits(self, features: Tensor) -> Tensor:
        return self.head(features.mean(dim=(2, 3)))


class RaICL(Learner):
    """Three maps of each sample, [B, 3, 3, S, S] as `Instances` gives them -> logits [B, classes].

    Recognises by the first, with the online network alone (A.1.3), and learns from the other two.
    """

    scale: Tensor
    target: Branch
    predict: nn.Sequential

    def __init__(self, classes: int, config: RaICLConfig) -> None:
        super().__init__()
        self.config = config
        self.siamese = config.irc or config.mrd
        self.register_buffer("scale", torch.ones(3, 1, 1))
        self.online = Branch(classes, config)
        if self.siamese:
            self.target = copy.deepcopy(self.online).requires_grad_(False)
        if config.mrd:
            self.target.regions.temperature = config.temperature_target
            self.predict = mlp(config.dim, config.dim, 8 * config.width)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """The root mean square of flow and of strain."""
        squares = torch.stack([three.square().mean(dim=(0, 1, 3, 4)) for (three,) in batches]).mean(dim=0)
        flow, strain = squares[:2].mean().sqrt(), squares[2].sqrt()
        self.scale.copy_(torch.stack([flow, flow, strain]).clamp_min(1e-6).view(3, 1, 1))

    def forward(self, three: Tensor) -> Tensor:
        return self.online.logits(self.online.trunk(three[:, 0] / self.scale))

    def represent(self, *inputs: Tensor) -> Tensor:
        return self.online.trunk(inputs[0][:, 0] / self.scale).mean(dim=(2, 3))

    def seen(self, *inputs: Tensor) -> Tensor:
        """Flow of the instance that is recognised by."""
        return inputs[0][:, 0, :2] / (FACE / self.config.size)

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """The last feature map, of which Grad-CAM is class activation mapping (eq. 5), less what speaks against."""
        return self.online.trunk, lambda out: out

    def objective(self, inputs: tuple[Tensor, ...], labels: Tensor, progress: float) -> Tensor:
        """Eq. 15."""
        config = self.config
        instances = list((inputs[0] / self.scale)[:, 1:].unbind(dim=1))
        if not self.siamese and config.instances == "apex":
            del instances[1:]  # one map is all there is
        features = self.online.trunk(torch.cat([self._transform(i) for i in instances]))
        loss = F.cross_entropy(self.online.logits(features), labels.repeat(len(instances)))
        loss = config.weight_classification * loss
        if not self.siamese:
            return loss
        with torch.no_grad():
            other = self.target.trunk(torch.cat([flip(self._transform(i)) for i in reversed(instances)]))
        if config.irc:
            maps = attention(features, self.online.head.weight), attention(other, self.target.head.weight)
            loss = loss + config.weight_attention * attention_loss(*maps)
        if config.mrd:
            loss = loss + config.weight_regions * self._discovery(features, other)
        return loss

    def _discovery(self, features: Tensor, other: Tensor) -> Tensor:
        """Alignment and consistency of regions (eq. 9-14), summed over both directions: twice the mean of both."""
        regions, embeddings = self.online.regions(features)
        with torch.no_grad():
            known, fixed = self.target.regions(other)
        # `other` is of mirrored maps: a place of the face lies at the mirrored place
        aligned = alignment(known.flip(-1), regions)
        return 2 * (aligned + inconsistency(each(self.predict, embeddings), fixed))

    def _transform(self, motion: Tensor) -> Tensor:
        """Both networks' random transforms; the target network's are mirrored too."""
        return blur(strengthen(motion, self.config.gain), self.config.blur * self.config.size / FACE)

    @torch.no_grad()
    def after_step(self) -> None:
        """The target network follows (eq. 3)."""
        if self.siamese:
            for target, online in zip(self.target.parameters(), self.online.parameters(), strict=True):
                target.lerp_(online, 1 - self.config.momentum)


def node(config: RaICLConfig) -> str:
    """The node that holds the instances: of the recipe ra-icl, or of ra-icl-strategies."""
    if config.instances == "apex":
        return NODE
    return "instances" if config.instances == "middle" else f"instances.{config.instances}"


def inputs(config: RaICLConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Source, ...]:
    """Three maps of each sample: see `Instances`."""
    (feature,) = read.values()
    return (Instances(feature, samples, config.size),)


def build(config: RaICLConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], RaICL]:
    """Makes the network of a fold, from random weights."""
    return lambda: RaICL(len(classes), config)


MODEL = Model(
    name="ra-icl",
    recipe=lambda config: "ra-icl" if config.instances == "middle" else "ra-icl-strategies",
    features=lambda config: (node(config),),
    inputs=inputs,
    build=build,
    schedule=lambda config: Schedule(
        config.epochs, config.batch, config.lr, weight_decay=config.weight_decay, decay=config.decay
    ),
)
