"""Pictures of a run: confusion matrix, scores by subject, curves. Each says in its title whose weights these were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=130)


def confusion(path: Path, scores: Mapping[str, Any], classes: Sequence[str], note: str) -> None:
    """The confusion matrix: counts, and as colour the share of each true class."""
    counts = np.array(scores["confusion"])
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(2.2 + 0.9 * len(classes), 2.2 + 0.8 * len(classes)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count}\n{share[row, column]:.0%}"
        dark = share[row, column] > 0.55
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
    names = [f"{name} ({n})" for name, n in zip(classes, counts.sum(axis=1), strict=True)]
    axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
    axes.set_yticks(range(len(classes)), names)
    axes.set(xlabel="predicted", ylabel="true")
    numbers = f"UF1 {scores['UF1']:.3f}  UAR {scores['UAR']:.3f}  ACC {scores['ACC']:.3f}"
    figure.suptitle("\n".join([numbers, *note.split(": ", 1)]), fontsize=9)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    _save(figure, path)


def units(path: Path, scores: Mapping[str, Any], note: str) -> None:
    """F1 of each action unit, with how many samples have it; a line for their mean."""
    names = list(scores["per_class"])
    figure = Figure(figsize=(max(4.0, 1.5 + 0.6 * len(names)), 3.4), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.bar(range(len(names)), [scores["per_class"][n]["F1"] for n in names], color="#4c78a8")
    axes.bar_label(bars, [f"of {scores['per_class'][n]['samples']}" for n in names], fontsize=7, padding=1)
    axes.axhline(scores["F1"], color="black", linewidth=0.8, linestyle="--", label=f"mean: {scores['F1']:.3f}")
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="F1, pooled over folds", ylim=(0, 1.1))
    axes.legend(fontsize=8, loc="lower right")
    axes.set_title(note, fontsize=9)
    _save(figure, path)


def subjects(path: Path, counts: Mapping[str, tuple[int, int]], overall: float, note: str) -> None:
    """Accuracy of each subject's samples, with their number; a line for the accuracy over all samples."""
    names = list(counts)
    figure = Figure(figsize=(max(5.0, 1.5 + 0.42 * len(names)), 3.4), layout="constrained")
    axes = figure.add_subplot()
    heights = [right / total for right, total in counts.values()]
    bars = axes.bar(range(len(names)), heights, color="#4c78a8")
    axes.bar_label(bars, [f"{right}/{total}" for right, total in counts.values()], fontsize=7, padding=1)
    axes.axhline(overall, color="black", linewidth=0.8, linestyle="--", label=f"all samples: {overall:.3f}")
    axes.set_xticks(range(len(names)), names, rotation=60 if len(names) > 10 else 0, fontsize=8)
    axes.set(xlabel="subject", ylabel="accuracy", ylim=(0, 1.1))
    axes.legend(fontsize=8, loc="lower right")
    axes.set_title(note, fontsize=9)
    _save(figure, path)


def curves(path: Path, losses: Sequence[Sequence[float]], f1: Sequence[float], reported: str, note: str) -> None:
    """Training loss of each fold and their mean, and macro F1 of the pooled test predictions after each epoch.

    reported: which epoch of each fold the last point stands for.
    """
    epochs = np.arange(1, len(f1) + 1)
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    every = np.full((len(losses), len(epochs)), np.nan)  # a fold that stopped has no losses from there on
    for row, fold in zip(every, losses, strict=True):
        row[: len(fold)] = fold
        left.plot(epochs, row, color="#4c78a8", alpha=0.25, linewidth=0.8)
    mean = np.nanmean(every, axis=0)
    left.plot(epochs, mean, color="#4c78a8", label="mean of folds", marker="." if len(epochs) < 3 else "")
    left.set(xlabel="epoch", ylabel="training loss", ylim=(min(0.0, float(np.nanmin(every))), None))
    left.legend(fontsize=8)
    right.plot(epochs, f1, color="#e45756", marker="." if len(epochs) < 3 else "")
    right.set(xlabel="epoch", ylabel="F1 on test, pooled over folds", ylim=(0, 1.02))
    right.plot(epochs[-1], f1[-1], "o", color="black", label=f"reported: {reported}, {f1[-1]:.3f}")
    right.legend(fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(note, fontsize=9)
    _save(figure, path)
