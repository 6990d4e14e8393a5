"""Matrices of mean cosines, of which those of several networks can be added up, as the papers show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Matrix:
    """Sums of cosines and how many there were, float64 [rows, columns]: cosines of one network only, each."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    total: np.ndarray
    count: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """NaN where nothing was compared."""
        return np.divide(self.total, self.count, out=np.full(self.total.shape, np.nan), where=self.count > 0)

    def __add__(self, other: Matrix) -> Matrix:
        return Matrix(self.rows, self.columns, self.total + other.total, self.count + other.count)


def between(first: Tensor, second: Tensor) -> Tensor:
    """Cosines of features [..., N, D] and [..., M, D]: [..., N, M]."""
    return F.normalize(first, dim=-1) @ F.normalize(second, dim=-1).transpose(-1, -2)


def whole(cosines: Tensor, rows: Sequence[str], columns: Sequence[str]) -> Matrix:
    """Cosines [rows, columns] as they are, or of several samples [B, rows, columns], added up."""
    values = cosines.detach().double().cpu().numpy()
    values = values[None] if values.ndim == 2 else values
    return Matrix(tuple(rows), tuple(columns), values.sum(axis=0), np.full(values.shape[1:], float(len(values))))


def grouped(cosines: Tensor, rows: Tensor, columns: Tensor, names: Sequence[str], of: Sequence[str] = ()) -> Matrix:
    """Cosines [N, M] added up by the class of their row, int [N], and of their column, int [M]; NaN is left out.

    names: of the rows' classes; of: of the columns', where they are others.
    """
    of = of or names
    there = ~cosines.isnan()
    left, right = F.one_hot(rows.long(), len(names)).double(), F.one_hot(columns.long(), len(of)).double()
    total = left.T @ cosines.detach().double().nan_to_num(0.0) @ right
    count = left.T @ there.double() @ right
    return Matrix(tuple(names), tuple(of), total.cpu().numpy(), count.cpu().numpy())


def of_pairs(features: Tensor, labels: Tensor, names: Sequence[str]) -> Matrix:
    """Cosines of all pairs of different samples, features [B, D], by their classes, int [B]."""
    cosines = between(features, features)
    cosines = cosines.masked_fill(torch.eye(len(cosines), dtype=torch.bool, device=cosines.device), torch.nan)
    return grouped(cosines, labels, labels, names)
