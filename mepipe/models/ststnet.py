"""STSTNet (Liong et al. 2019, "Shallow Triple Stream Three-dimensional CNN for Micro-expression Recognition"), as the
authors' PyTorch program has it (christy1206/STSTNet, main.py); of the paper itself only the abstract was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mepipe.models import maps
from mepipe.models.configs.ststnet import STSTNetConfig
from mepipe.models.declare import Feature, Model
from mepipe.models.learner import Learner, Schedule

SIZE = 28
FILTERS = (3, 5, 8)  # of the three streams


class STSTNet(Learner):
    """Motion maps [B, 3, 28, 28], standardised -> logits [B, classes].

    Each stream sees u, v and strain ("three-dimensional"): convolution 3x3, ReLU, batch normalisation, maximum over
    3x3 (28 -> 10), dropout. All 16 channels are averaged over 2x2 (10 -> 5), and one linear layer reads them. The
    authors' pictures of maps are given in 0..255, which the batch normalisation undoes; ours are standardised instead.
    """

    def __init__(self, classes: int, config: STSTNetConfig) -> None:
        super().__init__()
        self.stackable = not (config.norm or config.dropout)
        self.standardise = maps.Standardise(3)
        self.streams = nn.ModuleList(_stream(filters, config) for filters in FILTERS)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(5 * 5 * sum(FILTERS), classes)

    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        self.standardise.fit(batch[0] for batch in batches)

    def represent(self, *inputs: Tensor) -> Tensor:
        x = self.standardise(inputs[0])
        joined = torch.cat([stream(x) for stream in self.streams], dim=1)
        return self.pool(joined).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.represent(x))

    def seen(self, *inputs: Tensor) -> Tensor:
        """The flow, in pixels of the map."""
        return inputs[0][:, :2] / (maps.FACE / inputs[0].shape[-1])

    def evidence(self) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """Its last layer reads places too, of which Grad-CAM's mean over places knows nothing: some maps are empty."""
        return self.pool, lambda out: out


def _stream(filters: int, config: STSTNetConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, filters, kernel_size=3, padding=2),
        nn.ReLU(),
        *([nn.BatchNorm2d(filters)] if config.norm else []),
        nn.MaxPool2d(kernel_size=3, stride=3, padding=1),
        *([nn.Dropout(config.dropout)] if config.dropout else []),
    )


def inputs(config: STSTNetConfig, read: Mapping[str, Feature], samples: Sequence[str]) -> tuple[Tensor]:
    """Motion maps, float16 [N, 3, 28, 28]."""
    return (maps.single(read, samples, SIZE),)


def build(config: STSTNetConfig, classes: Sequence[str], files: Mapping[str, Path], seed: int) -> Callable[[], STSTNet]:
    """What makes the network of a fold."""
    return lambda: STSTNet(len(classes), config)


MODEL = Model(
    name="ststnet",
    recipe=lambda config: "features",
    features=lambda config: (maps.NODE,),
    inputs=inputs,
    build=build,
    schedule=lambda c: Schedule(c.epochs, c.batch, c.lr),
)
