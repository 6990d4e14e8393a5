"""Test samples in a plane: t-SNE of what the networks judge by, and what it cannot say.

Each fold has a network of its own, and the axes of what it judges by are its own too: features of different folds can
lie apart for that alone. They are shown as they are, beside the share of samples whose nearest neighbour is of the same
fold; logits, whose axes are the classes in every network, can be compared across folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 5  # samples: fewer have no neighbourhoods to speak of


@dataclass(frozen=True)
class Plane:
    """Places of samples float32 [N, 2], and of how many the nearest neighbour is of the same class, and fold (0..1).

    Nearest in the features, not in the plane. by chance: what these shares would be if neighbours were drawn blindly.
    """

    title: str
    places: np.ndarray
    labels: np.ndarray
    names: Sequence[str]
    of_class: tuple[float, float]
    of_fold: tuple[float, float]


def plane(
    title: str, features: np.ndarray, labels: np.ndarray, names: Sequence[str], folds: Sequence[str], seed: int
) -> Plane:
    """t-SNE (scikit-learn's, from principal components, so that the same features give the same places)."""
    from sklearn.manifold import TSNE

    values = np.asarray(features, np.float64)
    perplexity = min(30.0, (len(values) - 1) / 3)
    made = TSNE(perplexity=perplexity, init="pca", random_state=seed % 2**32, n_jobs=1).fit_transform(values)
    near = nearest(values)
    return Plane(
        title,
        made.astype(np.float32),
        labels,
        names,
        (float(np.mean(labels == labels[near])), _by_chance(labels)),
        (float(np.mean(np.asarray(folds) == np.asarray(folds)[near])), _by_chance(np.asarray(folds))),
    )


def nearest(values: np.ndarray) -> np.ndarray:
    """Of each row the nearest other row, by Euclidean distance: int64 [N]."""
    squares = (values**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    found: np.ndarray = distances.argmin(axis=1)
    return found


def _by_chance(labels: np.ndarray) -> float:
    """How likely another sample, drawn evenly, is of the same label."""
    counts = np.unique(labels, return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))
