"""ResNet-18 (He et al. 2016; torchvision's), from random weights, on the motion map from onset to apex."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from mepipe.models import maps
from mepipe.models.configs.resnet18_flow import ResNetConfig
from mepipe.models.declare import Feature, Model
from mepipe.models.learner import Learner, Schedule


class ResNet18(Learner):
    """Motion maps [B, 3, S, S], standardised -> logits [B, classes]."""

    def __init__(self, classes: int) -> None:
        from torchvision.models import resnet18

        super().__init__()
        self.standardise = maps.Standardise(3)
        self.network = resnet18(num_classes=classes)

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        self.standardise.fit(batch[0] for batch in batches)

    def forward(self, x: Tensor) -> Tensor:
        return self.network(self.standardise(x))

    def represent(self, *inputs: Tensor) -> Tensor:
        net, x = self.network, self.standardise(inputs[0])
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        return net.avgpool(net.layer4(net.layer3(net.layer2(net.layer1(x))))).flatten(1)

    def seen(self, *inputs: Tensor) -> Tensor:
        """The flow, in pixels of the map."""
        return inputs[0][:, :2] / (maps.FACE / inputs[0].shape[-1])

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        return self.network.layer4, lambda out: out


def inputs(config: ResNetConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor]:
    """Motion maps, float16 [N, 3, S, S]."""
    return (maps.single(read, samples, config.size),)


def build(config: ResNetConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], ResNet18]:
    """What makes the network of a fold."""
    return lambda: ResNet18(len(classes))


MODEL = Model(
    name="resnet18-flow",
    recipe=lambda config: "features",
    features=lambda config: (maps.NODE,),
    inputs=inputs,
    build=build,
    schedule=lambda c: Schedule(c.epochs, c.batch, c.lr, weight_decay=c.weight_decay),
)
