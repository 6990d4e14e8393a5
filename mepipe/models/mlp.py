"""A perceptron with one hidden layer on pooled flow: the smallest network, and folds of it train as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from mepipe.models import maps
from mepipe.models.configs.mlp import MLPConfig
from mepipe.models.declare import Feature, Model
from mepipe.models.learner import Learner, Schedule


class MLP(Learner):
    """Pooled flow [B, 6 grid^2] (see `maps.pooled`), standardised -> logits [B, classes]."""

    stackable = True

    def __init__(self, classes: int, config: MLPConfig) -> None:
        super().__init__()
        width = 6 * config.grid**2
        self.standardise = maps.Standardise(width)
        self.layers = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, classes))

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        self.standardise.fit(batch[0] for batch in batches)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(self.standardise(x))

    def represent(self, *inputs: Tensor) -> Tensor:
        return self.layers[:-1](self.standardise(inputs[0]))


def inputs(config: MLPConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor]:
    """Pooled flow, float32 [N, 6 grid^2]."""
    return (maps.pooled(read, samples, config.grid),)


def build(config: MLPConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], MLP]:
    """What makes the network of a fold."""
    return lambda: MLP(len(classes), config)


MODEL = Model(
    name="mlp",
    recipe=lambda config: "features",
    features=lambda config: (maps.NODE,),
    inputs=inputs,
    build=build,
    schedule=lambda c: Schedule(c.epochs, c.batch, c.lr, weight_decay=c.weight_decay),
)
