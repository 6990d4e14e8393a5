"""Features as Torch datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from mepipe.store.feature import Feature


class FeatureDataset(torch.utils.data.Dataset[torch.Tensor]):
    """Samples of one feature as tensors, in the order of `ids`; each is the caller's own, to be changed at will.

    dtype: what values are converted to; without it, as stored (float16 often, where networks want float32).

    cache="ram" keeps each sample, as stored, once it was read: for stores at a URL or on a slow folder, and where
    there is more memory than is left for the page cache. What is in a local folder and in the page cache already is
    read no faster. Every process keeps its own: workers of a DataLoader each read all samples they are given, and
    forget them when they end, unless `persistent_workers=True`; what was read before they are forked they share.
    """

    def __init__(
        self,
        feature: Feature,
        ids: Sequence[str],
        cache: Literal["ram"] | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.feature = feature
        self.ids = list(ids)
        self.dtype = dtype
        self._kept: dict[str, torch.Tensor] | None = {} if cache == "ram" else None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> torch.Tensor:
        sample = self.ids[index]
        if self._kept is None:
            return torch.from_numpy(self.feature[sample]).to(self.dtype)
        if sample not in self._kept:
            self._kept[sample] = torch.from_numpy(self.feature[sample].copy())  # no map, whose file may go
        return self._kept[sample].to(self.dtype, copy=True)
