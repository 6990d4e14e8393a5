"""Pictures of explanations: maps over what a network saw, samples in a plane, matrices of cosines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.image import AxesImage

from mepipe.explain.maps import Map
from mepipe.explain.project import Plane
from mepipe.models.similarity import Matrix
from mepipe.store import files
from mepipe.view.colour import draw_wheel, flow_colours, robust_scale

HEAT, THROUGH = "inferno", 0.6  # colours of maps, and how much they hide of the picture
LEAST_FLOW = 0.1  # px: of flow, as colours of stillness should look still
STEPS = 8  # pictures side by side


@dataclass(frozen=True)
class Seen:
    """What a network saw of a sample, RGB [T, H, W, 3] in 0..1; scale: pixels of full colour, where it is flow."""

    title: str
    frames: np.ndarray
    scale: float | None = None


def seen(title: str, values: np.ndarray) -> Seen:
    """From what a model gives (`Learner.seen`), of one sample: [3, H, W], [T, 3, H, W] or flow [2, H, W]."""
    if values.shape[0] == 2 and values.ndim == 3:
        scale = robust_scale(values, LEAST_FLOW)
        return Seen(f"{title}: flow, px of the map", flow_colours(values, scale)[None], scale)
    clip = values if values.ndim == 4 else values[None]
    return Seen(title, clip.transpose(0, 2, 3, 1))


def blank(title: str, size: int = 112) -> Seen:
    """In place of a picture that the store does not hold."""
    return Seen(title, np.full((1, size, size, 3), 0.85))


def save(figure: Figure, path: Path, dpi: int = 110) -> Path:
    """Write a figure, its folder made where it is missing."""
    files.make_folder(path.parent)
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=dpi)
    return path


def maps(path: Path, title: str, shown: Sequence[tuple[Seen, Map]]) -> Path:
    """Each map after what it lies on: a picture and its maps in rows of cells, or a clip and maps in rows of steps."""
    steps = max(len(what.frames) for what, _ in shown)
    cells: list[tuple[Seen, Map | None]] = []
    for what, over in shown:
        if not any(what is before for before, _ in cells):
            cells.append((what, None))
        cells.append((what, over))
    columns = 1 if steps > 1 else min(4, len(cells))
    rows = math.ceil(len(cells) / columns)
    width = 1.3 * min(steps, STEPS) + 1.4 if steps > 1 else 2.9 * columns
    figure = Figure(figsize=(max(5.0, width), 0.5 + (1.75 if steps > 1 else 2.7) * rows), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    for n, (what, one) in enumerate(cells):
        _cell(figure, grid[n // columns, n % columns], what, one)
    figure.suptitle(title, fontsize=9)
    return save(figure, path)


def _cell(figure: Figure, place: SubplotSpec, what: Seen, values: Map | None) -> None:
    """A picture, or all steps of a clip, bare or under a map with its colour bar."""
    steps = min(len(what.frames), STEPS)
    inner = place.subgridspec(1, steps)
    axes = [figure.add_subplot(inner[0, step]) for step in range(steps)]
    top = max(float(values.values.max()), 1e-12) if values else 0.0
    images = [
        overlay(one, what.frames[step], None if values is None else _step(values.values, step), top)
        for step, one in enumerate(axes)
    ]
    if values is None:
        if what.scale is not None:
            draw_wheel(axes[0], what.scale)
        axes[0].set_title(what.title, fontsize=8, loc="left")
        return
    axes[0].set_title(values.title if values.values.any() else f"{values.title}: none", fontsize=8, loc="left")
    if values.values.any():
        figure.colorbar(images[0], ax=axes, label=values.unit, shrink=0.8, pad=0.02).ax.tick_params(labelsize=6)


def _step(values: np.ndarray, step: int) -> np.ndarray:
    return values[step] if values.ndim == 3 else values


def overlay(axes: Axes, picture: np.ndarray, heat: np.ndarray | None, top: float) -> AxesImage:
    """A picture, in grey below a map of places where there is one; the map's colours run from 0 to `top`."""
    axes.set_axis_off()
    height, width = picture.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    if heat is None:
        return axes.imshow(picture, extent=extent)
    axes.imshow(picture.mean(axis=-1), cmap="gray", vmin=0, vmax=1, extent=extent)
    return axes.imshow(heat, cmap=HEAT, vmin=0, vmax=top, alpha=THROUGH, extent=extent, interpolation="bilinear")


def sheet(path: Path, title: str, rows: Sequence[tuple[str, Seen, Sequence[tuple[Seen, Map]]]]) -> Path:
    """A row for each sample: what was seen and the maps over it, of a clip in its middle step."""
    columns = 1 + max(len(given) for *_, given in rows)
    figure = Figure(figsize=(2.2 * columns + 0.8, 1.9 * len(rows) + 0.5), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (text, what, given) in zip(grid, rows, strict=True):
        middle = len(what.frames) // 2
        overlay(line[0], what.frames[middle], None, 0.0)
        line[0].set_title(text, fontsize=7, loc="left")
        for axes in line[1:]:
            axes.set_axis_off()
        for axes, (below, one) in zip(line[1:], given, strict=False):
            top = float(one.values.max())
            overlay(axes, below.frames[middle], _step(one.values, middle), max(top, 1e-12))
            name, most = one.title.replace(": ", "\n"), f"brightest: {top:.2g}" if top else "none"
            axes.set_title(f"{name}\n{one.unit}, {most}", fontsize=7, loc="left")
    figure.suptitle(title, fontsize=9)
    return save(figure, path)


def planes(path: Path, title: str, note: str, shown: Sequence[Plane]) -> Path:
    """Samples in planes, coloured by class; below each, whose neighbours they are."""
    figure = Figure(figsize=(4.6 * min(4, len(shown)), 0.9 + 4.4 * math.ceil(len(shown) / 4)), layout="constrained")
    grid = figure.subplots(math.ceil(len(shown) / 4), min(4, len(shown)), squeeze=False).flatten()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, one in zip(grid, shown, strict=False):
        for label, name in enumerate(one.names):
            chosen = one.places[one.labels == label]
            axes.scatter(*chosen.T, s=22, label=f"{name} ({len(chosen)})", color=f"C{label}", alpha=0.85, linewidths=0)
        axes.set(xticks=[], yticks=[])
        (mine, blind), (fold, fold_blind) = one.of_class, one.of_fold
        axes.set_xlabel(
            f"nearest neighbour of the same class: {mine:.0%} (blindly {blind:.0%}),\nof the same fold: {fold:.0%} "
            f"(blindly {fold_blind:.0%})",
            fontsize=8,
        )
        axes.set_title(one.title, fontsize=9)
        axes.legend(fontsize=7, loc="best", framealpha=0.6)
    figure.suptitle(f"{title}\n{note}", fontsize=9)
    return save(figure, path)


def matrices(path: Path, title: str, shown: Mapping[str, Matrix]) -> Path:
    """Mean cosines, each matrix on its own scale, since cosines of features may all lie close to one."""
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    most = max(len(m.columns) for m in shown.values()), max(len(m.rows) for m in shown.values())
    size = (2.2 + 0.42 * most[0], 1.7 + 0.36 * most[1])
    figure = Figure(figsize=(size[0] * columns, 0.5 + size[1] * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in grid[len(shown) :]:
        axes.set_axis_off()
    for axes, (name, matrix) in zip(grid, shown.items(), strict=False):
        image = axes.imshow(np.ma.masked_invalid(matrix.mean), cmap="viridis")
        low, high = image.get_clim()
        digits = 2 if high - low >= 0.1 else 3  # so that neighbours' numbers differ where their colours do
        for (row, column), value in np.ndenumerate(matrix.mean):
            text = "" if np.isnan(value) else f"{value:.{digits}f}"
            dark = (value - low) < 0.6 * (high - low)
            axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
        axes.set_xticks(range(len(matrix.columns)), matrix.columns, rotation=40, ha="right", fontsize=7)
        axes.set_yticks(range(len(matrix.rows)), matrix.rows, fontsize=7)
        axes.set_title(name, fontsize=9)
        figure.colorbar(image, ax=axes, label="mean cosine", shrink=0.8).ax.tick_params(labelsize=6)
    figure.suptitle(title, fontsize=9)
    return save(figure, path)
