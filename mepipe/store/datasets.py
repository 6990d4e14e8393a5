"""Features as Torch datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from mepipe.store.feature import Feature


class FeatureDataset(torch.utils.data.Dataset):
    """Samples of one feature as tensors, in the order of `ids`."""

    def __init__(self, feature: Feature, ids: Sequence[str]) -> None:
        self.feature = feature
        self.ids = list(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.feature[self.ids[index]])
